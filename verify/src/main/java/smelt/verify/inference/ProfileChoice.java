package smelt.verify.inference;

import java.util.List;
import java.util.OptionalInt;
import smelt.calibrate.model.ActivationScheme;
import smelt.calibrate.model.Activations;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.gguf.GgmlType;
import smelt.verify.quality.Profile;
import smelt.verify.quality.TensorScore;

/// The profile for what a result holds, where the user names none.
///
/// | result | profile |
/// |---|---|
/// | every weight has the source's bits | `lossless` |
/// | INT4 routed experts | `int4-experts` |
/// | blocks of GGUF, by the fewest bits for each weight | `int8-weight`, `int6-weight`, `int5-weight`, `int4-weight` |
/// | INT8 weights, activations rounded | `w8a8` |
/// | INT8 weights, activations as they are | `int8-weight` |
/// | FP8 weights | `fp8` |
/// | plain numbers | `bf16` |
public final class ProfileChoice {

  private ProfileChoice() {}

  /// Whether the result is the source in another layout: it is then served as the source is, and
  /// neither path rounds activations.
  public static boolean isLossless(List<TensorScore> tensors) {
    return !tensors.isEmpty() && tensors.stream().allMatch(TensorScore::bitExact);
  }

  /// @param activations how the result's inputs are rounded in the comparison
  public static Profile of(Checkpoint result, List<TensorScore> tensors, Activations activations) {
    if (isLossless(tensors)) {
      return Profile.LOSSLESS;
    }
    List<Weight> coded =
        result.weights().stream().filter(w -> !(w.encoding() instanceof Encoding.Plain)).toList();
    if (coded.stream().anyMatch(weight -> weight.encoding() instanceof Encoding.Int4)) {
      return Profile.INT4_EXPERTS;
    }
    OptionalInt bits =
        coded.stream().flatMapToInt(weight -> bits(weight.encoding()).stream()).min();
    if (bits.isPresent()) {
      return ofBits(bits.getAsInt());
    }
    if (coded.stream().noneMatch(weight -> weight.encoding().type() == ElementType.I8)) {
      return coded.isEmpty() ? Profile.BF16 : Profile.FP8;
    }
    boolean rounded =
        coded.stream().anyMatch(w -> !(activations.of(w) instanceof ActivationScheme.None));
    return rounded ? Profile.W8A8 : Profile.INT8_WEIGHT;
  }

  /// Whole bits for each weight in blocks of GGUF, their scales included.
  private static OptionalInt bits(Encoding encoding) {
    return encoding instanceof Encoding.Ggml(GgmlType blocks)
        ? OptionalInt.of(Byte.SIZE * blocks.blockBytes() / blocks.blockElements())
        : OptionalInt.empty();
  }

  private static Profile ofBits(int bits) {
    return switch (bits) {
      case 0, 1, 2, 3, 4 -> Profile.INT4_WEIGHT;
      case 5 -> Profile.INT5_WEIGHT;
      case 6, 7 -> Profile.INT6_WEIGHT;
      default -> Profile.INT8_WEIGHT;
    };
  }
}
