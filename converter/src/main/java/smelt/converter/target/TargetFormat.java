package smelt.converter.target;

import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;

/// What a target's files look like: the encoding of its quantized linears, the names of the tensors
/// that go with a weight, and the names of the files.
///
/// | target | codes | scale tensor | further |
/// |---|---|---|---|
/// | `bf16` | BF16 | none | |
/// | `fp8-block` | F8_E4M3 | `weight_scale_inv` per 128 x 128 | |
/// | `ct-fp8-block` | F8_E4M3 | `weight_scale` per 128 x 128 | |
/// | `ct-fp8-channel` | F8_E4M3 | `weight_scale` `[rows, 1]` | |
/// | `int8-channel`, `ct-int8` | I8 | `weight_scale` `[rows, 1]` | |
/// | `int8-block` | I8 | `weight_scale_inv` per 128 x 128 | |
/// | `ct-w4a16` | I32 of 8 codes | `weight_scale` BF16 per 128 of a row | `weight_shape` |
/// | `rawint4` | I32 of 8 codes | `weight_scale` BF16 per 32 of a row | `weight_shape` |
/// | `ascend-w8a8` | I8 | `weight_scale` `[rows, 1]` | `weight_offset` `[rows, 1]`, zeros |
///
/// @param quantized encoding of a quantized linear; empty for `bf16`
/// @param scaleSuffix what replaces `weight` in the name of the scale tensor
/// @param zeroOffsets whether a `weight_offset` of zeros goes with each quantized linear
/// @param shardStem what the shards' names begin with
public record TargetFormat(
    Optional<Encoding> quantized, String scaleSuffix, boolean zeroOffsets, String shardStem) {

  /// What replaces `weight` in the name of a tensor of zero offsets.
  public static final String OFFSET_SUFFIX = "weight_offset";

  /// What replaces `weight` in the name of a tensor of packed codes.
  public static final String PACKED_SUFFIX = "weight_packed";

  /// What replaces `weight` in the name of the tensor that holds the shape of packed codes.
  public static final String SHAPE_SUFFIX = "weight_shape";

  /// A shape is two numbers, rows and columns.
  public static final ElementType SHAPE_TYPE = ElementType.I64;

  public static final Shape SHAPE_SHAPE = Shape.of(2);

  private static final int BLOCK = 128;
  private static final int W4A16_GROUP = 128;
  private static final int INT4_STEP = 64;

  /// The one size of groups that the kernels of `RAWINT4` for AVX-512 and AMX multiply rightly.
  private static final int RAWINT4_GROUP = 32;

  /// The format of a target.
  ///
  /// @param scales values that the decode scales may take; only `fp8-block` has a choice
  public static TargetFormat of(Target target, ScaleFormat scales) {
    return switch (target) {
      case BF16 -> new TargetFormat(Optional.empty(), "", false, "model");
      case FP8_BLOCK -> plain(Encoding.fp8Block(scales), "weight_scale_inv");
      case CT_FP8_BLOCK -> plain(Encoding.fp8Block(ScaleFormat.FLOAT), "weight_scale");
      case CT_FP8_CHANNEL ->
          plain(new Encoding.Channel(ElementType.F8_E4M3, ElementType.F32), "weight_scale");
      case INT8_CHANNEL, CT_INT8 -> plain(int8Channel(), "weight_scale");
      case INT8_BLOCK ->
          plain(
              new Encoding.Block(ElementType.I8, BLOCK, BLOCK, ElementType.F32, ScaleFormat.FLOAT),
              "weight_scale_inv");
      case CT_W4A16 -> plain(new Encoding.Int4(W4A16_GROUP, ElementType.BF16, -7), "weight_scale");
      case RAWINT4 -> plain(new Encoding.Int4(RAWINT4_GROUP, ElementType.BF16, -7), "weight_scale");
      case ASCEND_W8A8 ->
          new TargetFormat(Optional.of(int8Channel()), "weight_scale", true, "quant_model_weights");
      case KT_AMX_INT8, KT_AMX_INT4, KT_AOCL_INT8, GGUF ->
          throw new IllegalArgumentException(target.label() + " is no checkpoint");
    };
  }

  private static TargetFormat plain(Encoding encoding, String scaleSuffix) {
    return new TargetFormat(Optional.of(encoding), scaleSuffix, false, "model");
  }

  private static Encoding int8Channel() {
    return new Encoding.Channel(ElementType.I8, ElementType.F32);
  }

  /// `model-00002-of-00007.safetensors`.
  public String shardName(int number, int count) {
    return shardName(shardStem, number, count);
  }

  /// `STEM-00002-of-00007.safetensors`.
  public static String shardName(String stem, int number, int count) {
    return String.format(Locale.ROOT, "%s-%05d-of-%05d.safetensors", stem, number, count);
  }

  public String indexName() {
    return shardStem + ".safetensors.index.json";
  }

  /// Name of a tensor that goes with a weight: `a.b.weight` and `weight_scale` give
  /// `a.b.weight_scale`.
  public static String companion(String weightName, String suffix) {
    if (!weightName.endsWith(".weight")) {
      throw new IllegalArgumentException("not a linear's weight: " + weightName);
    }
    return weightName.substring(0, weightName.length() - "weight".length()) + suffix;
  }

  /// Name of the tensor of codes of a weight: packed ones are not named like the weight.
  public static String codesName(String weightName, Encoding encoding) {
    return encoding instanceof Encoding.Int4 ? companion(weightName, PACKED_SUFFIX) : weightName;
  }

  /// What the length of a quantized row must be a multiple of: whole groups, and at least the 64
  /// numbers that kernels for 4 bits multiply at once.
  public OptionalLong rowStep() {
    return quantized.isPresent() && quantized.get() instanceof Encoding.Int4 int4
        ? OptionalLong.of(Math.max(INT4_STEP, int4.group()))
        : OptionalLong.empty();
  }

  /// Shape of a `weight_offset`.
  public static Shape offsetShape(Shape codes) {
    return Shape.of(codes.dim(0), 1);
  }
}
