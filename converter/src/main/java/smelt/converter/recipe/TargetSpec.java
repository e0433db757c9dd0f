package smelt.converter.recipe;

import java.util.List;
import java.util.Optional;
import smelt.converter.target.Target;
import smelt.formats.codec.ScaleFormat;

/// One target of a recipe, and where it departs from the target's own rule.
///
/// @param scales which values decode scales may take; only `fp8-block` has a choice. Empty: powers
///   of two if the source's scales are, else any
/// @param keep tensors that stay in high precision though the rule would quantize them
/// @param quantize tensors that are quantized though the rule would keep them
/// @param bounds what the result is to hold when it is verified
public record TargetSpec(
    Target target,
    Optional<ScaleFormat> scales,
    List<Selector> keep,
    List<Selector> quantize,
    Optional<BoundsSpec> bounds) {

  public TargetSpec {
    keep = List.copyOf(keep);
    quantize = List.copyOf(quantize);
    if (scales.isPresent() && !choosesScales(target)) {
      throw new IllegalArgumentException(target.label() + " has no choice of scales");
    }
  }

  /// A target that follows its own rule throughout.
  public static TargetSpec of(Target target) {
    return new TargetSpec(target, Optional.empty(), List.of(), List.of(), Optional.empty());
  }

  /// The same target, with these bounds unless it has its own.
  TargetSpec withBounds(BoundsSpec forAll) {
    return bounds.isPresent()
        ? this
        : new TargetSpec(target, scales, keep, quantize, Optional.of(forAll));
  }

  static boolean choosesScales(Target target) {
    return target == Target.FP8_BLOCK;
  }
}
