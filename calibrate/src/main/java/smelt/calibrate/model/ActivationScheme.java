package smelt.calibrate.model;

import smelt.formats.ElementType;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.codec.ScaleFormat;

/// How a runtime rounds the input of a linear before it multiplies. What it computes with is then
/// `code * scale`; products and sums are taken as exact.
public sealed interface ActivationScheme {

  /// The label of INT8 with one scale and one offset.
  String WITH_OFFSET = "INT8 with a static scale and offset";

  /// In words, for reports.
  String label();

  /// The input is used as it is: weight-only quantization, or none.
  record None() implements ActivationScheme {
    @Override
    public String label() {
      return "not rounded";
    }
  }

  /// One scale for each token, from its largest magnitude.
  ///
  /// @param type `I8` or `F8_E4M3`
  record PerToken(ElementType type) implements ActivationScheme {
    public PerToken {
      requireCode(type);
    }

    @Override
    public String label() {
      return name(type) + " per token";
    }
  }

  /// One scale for each run of `group` numbers of a token.
  ///
  /// @param type `I8` or `F8_E4M3`
  /// @param scales `UE8M0` where the runtime rounds scales up to powers of two, for E4M3 only
  record PerGroup(ElementType type, int group, ScaleFormat scales) implements ActivationScheme {
    /// With any scales.
    public PerGroup(ElementType type, int group) {
      this(type, group, ScaleFormat.FLOAT);
    }

    public PerGroup {
      requireCode(type);
      if (scales == ScaleFormat.UE8M0 && type != ElementType.F8_E4M3) {
        throw new IllegalArgumentException(type + " with power-of-two scales");
      }
      if (group < 1) {
        throw new IllegalArgumentException("groups of " + group);
      }
    }

    @Override
    public String label() {
      String powers = scales == ScaleFormat.UE8M0 ? ", power-of-two scales" : "";
      return name(type) + " per token and " + group + " channels" + powers;
    }
  }

  /// One scale for all tokens, known beforehand, as vLLM's kernels round with it:
  ///
  /// | type | code |
  /// |---|---|
  /// | `I8` | `clamp(round(x / scale), -128, 127)` |
  /// | `F8_E4M3` | `e4m3(clamp(x * (1 / scale), -448, 448))` |
  ///
  /// @param type `I8` or `F8_E4M3`
  record PerTensor(ElementType type, float scale) implements ActivationScheme {
    public PerTensor {
      requireCode(type);
      requireScale(scale);
    }

    @Override
    public String label() {
      return name(type) + " with a static scale";
    }
  }

  /// INT8 with one scale and one offset for all tokens, known beforehand, as Ascend's operator
  /// quantizes: `code = clamp(round(x * factor + offset), -128, 127)`, which stands for `(code -
  /// offset) * scale`.
  ///
  /// @param factor the reciprocal of the scale as the runtime holds it
  record Affine(float scale, float factor, int offset) implements ActivationScheme {
    public Affine {
      requireScale(scale);
      requireScale(factor);
      requireOffset(offset);
    }

    @Override
    public String label() {
      return WITH_OFFSET;
    }
  }

  /// INT8 with one scale and one offset for all tokens, known beforehand, as vLLM's kernel rounds
  /// with them: `code = clamp(round(x * (1 / scale)) + offset, -128, 127)`, which stands for `(code
  /// - offset) * scale`. Other than with [Affine] the offset is added to what is whole already.
  record Shifted(float scale, int offset) implements ActivationScheme {
    public Shifted {
      requireScale(scale);
      requireOffset(offset);
    }

    @Override
    public String label() {
      return WITH_OFFSET;
    }
  }

  /// As [Affine], where the runtime adds a stored integer to each sum of products of codes and
  /// scales that once: `out[row] = (sum(code * weightCode) + bias[row]) * scales[row]`. The bias
  /// holds the offset's part, and the linear's own bias where it has one, which is not added again.
  ///
  /// @param bias I32, one for each row of the weight
  /// @param scales F32, or I64 whose low half holds the bits of an F32, one for each row
  record IntegerSums(Affine input, SourceTensor bias, SourceTensor scales)
      implements ActivationScheme {
    public IntegerSums {
      boolean known =
          bias.type() == ElementType.I32
              && (scales.type() == ElementType.F32 || scales.type() == ElementType.I64);
      if (!known) {
        throw new IllegalArgumentException(
            "bias of " + bias.type() + ", scales of " + scales.type());
      }
    }

    @Override
    public String label() {
      return input.label();
    }
  }

  private static void requireOffset(int offset) {
    if (offset < -128 || offset > 127) {
      throw new IllegalArgumentException("offset " + offset);
    }
  }

  private static void requireScale(float scale) {
    if (!(scale > 0) || Float.isInfinite(scale)) {
      throw new IllegalArgumentException("scale " + scale);
    }
  }

  private static void requireCode(ElementType type) {
    if (type != ElementType.I8 && type != ElementType.F8_E4M3) {
      throw new IllegalArgumentException("activations of " + type);
    }
  }

  private static String name(ElementType type) {
    return type == ElementType.I8 ? "INT8" : "E4M3";
  }
}
