package smelt.formats.checkpoint;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import smelt.formats.ElementType;
import smelt.formats.Problem;
import smelt.formats.Shape;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.QuantizationConfig.BlockSize;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;

/// Finds how a weight is encoded, from its element type and the shape of its scales.
///
/// | codes | scales | encoding |
/// |---|---|---|
/// | BF16, F16, F32 | none | plain |
/// | F8_E4M3, F8_E5M2, I8 `[o, i]` | `weight_scale_inv` `[ceil(o/b), ceil(i/c)]` | blocks of `b` x `c` |
/// | the same | `weight_scale` `[o, 1]` or `[o]` | per channel |
/// | the same | `weight_scale` `[ceil(o/b), ceil(i/c)]` | blocks of `b` x `c` |
/// | the same | `weight_scale` `[1]` or a scalar | one block |
/// | I32 `[o, i / 8]`, packed | `weight_scale` `[o, i / g]` | INT4 in groups of `g` |
///
/// Scales are F32 or BF16, of INT4 also F16. The block size is that of the config; where it has
/// none, the one size among the usual ones that fits the shapes of all weights.
final class Encodings {

  /// What is read, in words.
  static final String READ =
      "BF16, F16, F32, and F8_E4M3, F8_E5M2 or I8 with a scale per block or per channel, and symmetric"
          + " INT4 as compressed-tensors packs it";

  /// Block sizes that are tried when the config has none, the usual one first.
  private static final int[] SIZES = {128, 64, 32, 16, 256, 512, 1024};

  private final Optional<BlockSize> block;
  private final ScaleFormat scaleFormat;
  private final Map<Encoding, Encoding> shared = new HashMap<>();

  private Encodings(Optional<BlockSize> block, ScaleFormat scaleFormat) {
    this.block = block;
    this.scaleFormat = scaleFormat;
  }

  /// Prepares for all weights of a checkpoint.
  static Encodings of(ModelConfig config, List<CodesAndScale> all) {
    Optional<QuantizationConfig> quantization = config.quantization();
    Optional<BlockSize> block =
        quantization.flatMap(QuantizationConfig::block).or(() -> derived(all));
    return new Encodings(
        block, quantization.map(QuantizationConfig::scaleFormat).orElse(ScaleFormat.FLOAT));
  }

  /// Whether numbers of this type mean something only together with a scale.
  static boolean isQuantized(ElementType type) {
    return switch (type) {
      case F8_E4M3, F8_E5M2, I8 -> true;
      case BOOL,
          F4,
          F6_E2M3,
          F6_E3M2,
          U8,
          F8_E8M0,
          F8_E4M3FNUZ,
          F8_E5M2FNUZ,
          I16,
          U16,
          F16,
          BF16,
          I32,
          U32,
          F32,
          C64,
          F64,
          I64,
          U64 ->
          false;
    };
  }

  /// The encoding; empty when there is a problem, which is then added to `problems`.
  ///
  /// @throws UnsupportedException for element types and kinds of scale that are not read
  Optional<Encoding> encoding(CodesAndScale pair, List<Problem> problems) {
    SourceTensor codes = pair.codes();
    String where = codes.file() + ": " + codes.name();
    if (pair.isPacked()) {
      return Int4Weights.encoding(pair, problems).map(this::share);
    }
    if (!isQuantized(codes.type())) {
      return Optional.of(share(plain(where, codes.type())));
    }
    if (pair.scale().isEmpty()) {
      problems.add(
          new Problem(
              where,
              codes.type() + " without a scale",
              codes.name() + CodesAndScale.SCALE_INV + " or " + codes.name() + CodesAndScale.SCALE,
              "download the shard that holds the scale; without it the numbers mean nothing"));
      return Optional.empty();
    }
    SourceTensor scale = pair.scale().get();
    String atScale = scale.file() + ": " + scale.name();
    if (codes.shape().rank() != 2) {
      problems.add(
          new Problem(where, codes.type() + " of shape " + codes.shape(), "a matrix", REPAIR));
      return Optional.empty();
    }
    if (!floats(atScale, scale.type())) {
      problems.add(new Problem(atScale, "scales of type " + scale.type(), "F32 or BF16", REPAIR));
      return Optional.empty();
    }
    return quantized(pair, scale, atScale, problems).map(this::share);
  }

  static final String REPAIR = "download the model again, or tell its publisher";

  private Optional<Encoding> quantized(
      CodesAndScale pair, SourceTensor scale, String where, List<Problem> problems) {
    SourceTensor codes = pair.codes();
    Optional<Encoding> blocks =
        block.map(
            b -> new Encoding.Block(codes.type(), b.rows(), b.cols(), scale.type(), scaleFormat));
    boolean blocksFit =
        blocks.flatMap(b -> b.scaleShape(codes.shape())).filter(scale.shape()::equals).isPresent();
    boolean channelsFit = !pair.inverseNamed() && perChannel(codes.shape(), scale.shape());
    if (blocksFit) {
      return blocks;
    }
    if (channelsFit) {
      return Optional.of(new Encoding.Channel(codes.type(), scale.type()));
    }
    if (!pair.inverseNamed() && scale.shape().elements() == 1) {
      return Optional.of(
          new Encoding.Block(
              codes.type(),
              Math.toIntExact(Math.max(1, codes.shape().dim(0))),
              Math.toIntExact(Math.max(1, codes.shape().dim(1))),
              scale.type(),
              ScaleFormat.FLOAT));
    }
    problems.add(
        new Problem(
            where, "scales of shape " + scale.shape(), expectedShapes(pair, blocks), REPAIR));
    return Optional.empty();
  }

  private static String expectedShapes(CodesAndScale pair, Optional<Encoding> blocks) {
    Shape codes = pair.codes().shape();
    String channels = pair.inverseNamed() ? "" : "[" + codes.dim(0) + ", 1]";
    String blocked =
        blocks
            .flatMap(b -> b.scaleShape(codes))
            .map(Shape::toString)
            .orElse(pair.inverseNamed() ? "that of blocks of one size for all weights" : "");
    String or = channels.isEmpty() || blocked.isEmpty() ? "" : " or ";
    return "shape " + blocked + or + channels + ", for codes of shape " + codes;
  }

  private static boolean perChannel(Shape codes, Shape scale) {
    boolean column = scale.rank() == 1 || (scale.rank() == 2 && scale.dim(1) == 1);
    return column && scale.dim(0) == codes.dim(0);
  }

  private static Encoding plain(String where, ElementType type) {
    return switch (type) {
      case F16, BF16, F32 -> new Encoding.Plain(type);
      case BOOL,
          F4,
          F6_E2M3,
          F6_E3M2,
          U8,
          I8,
          F8_E5M2,
          F8_E4M3,
          F8_E8M0,
          F8_E4M3FNUZ,
          F8_E5M2FNUZ,
          I16,
          U16,
          I32,
          U32,
          C64,
          F64,
          I64,
          U64 ->
          throw new UnsupportedException(
              "a weight of type " + type + " (" + where + ")", "weights that are read are " + READ);
    };
  }

  private static boolean floats(String where, ElementType type) {
    if (type == ElementType.F8_E8M0) {
      throw new UnsupportedException(
          "scales of type F8_E8M0 (" + where + ")", "scales that are read are F32 and BF16");
    }
    return type == ElementType.F32 || type == ElementType.BF16;
  }

  private Encoding share(Encoding encoding) {
    return shared.computeIfAbsent(encoding, e -> e);
  }

  private static Optional<BlockSize> derived(List<CodesAndScale> all) {
    List<CodesAndScale> blocked =
        all.stream()
            .filter(p -> !p.isPacked() && p.codes().shape().rank() == 2 && p.scale().isPresent())
            .filter(p -> p.scale().get().shape().rank() == 2)
            .filter(
                p -> p.inverseNamed() || !perChannel(p.codes().shape(), p.scale().get().shape()))
            .toList();
    if (blocked.isEmpty()) {
      return Optional.empty();
    }
    int rows = fitting(blocked, 0);
    int cols = fitting(blocked, 1);
    return rows > 0 && cols > 0 ? Optional.of(new BlockSize(rows, cols)) : Optional.empty();
  }

  /// The first usual size that explains all scale shapes along an axis; 0 when none does.
  private static int fitting(List<CodesAndScale> blocked, int axis) {
    return IntStream.of(SIZES)
        .filter(size ->
            blocked.stream()
                .allMatch(p ->
                    Math.ceilDiv(p.codes().shape().dim(axis), (long) size)
                        == p.scale().orElseThrow().shape().dim(axis)))
        .findFirst()
        .orElse(0);
  }
}
