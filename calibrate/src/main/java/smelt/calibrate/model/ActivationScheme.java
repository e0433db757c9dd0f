package smelt.calibrate.model;

import smelt.formats.ElementType;
import smelt.formats.codec.ScaleFormat;

/// How a runtime rounds the input of a linear before it multiplies. What it computes with is then
/// `code * scale`; products and sums are taken as exact.
public sealed interface ActivationScheme {

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

  /// INT8 with one scale for all tokens, known beforehand: `code = round(x / scale) + offset`,
  /// clipped to -128 .. 127, stands for `(code - offset) * scale`.
  record PerTensor(float scale, int offset) implements ActivationScheme {
    public PerTensor {
      if (!(scale > 0) || Float.isInfinite(scale) || offset < -128 || offset > 127) {
        throw new IllegalArgumentException("scale " + scale + ", offset " + offset);
      }
    }

    @Override
    public String label() {
      return "INT8 with a static scale";
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
