package smelt.converter.recipe;

import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import smelt.converter.gguf.GgufOptions;
import smelt.converter.gguf.LatentForm;
import smelt.converter.target.Target;
import smelt.converter.target.Target.Kind;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.experts.ExpertPacker;
import smelt.formats.gguf.GgmlType;

/// One target of a recipe, and where it departs from the target's own rule.
///
/// @param scales which values decode scales may take; only `fp8-block` has a choice. Empty: powers
///   of two if the source's scales are, else any
/// @param keep tensors that stay in high precision though the rule would quantize them
/// @param quantize tensors that are quantized though the rule would keep them
/// @param bounds what the result is to hold when it is verified
/// @param experts choices of a target of experts alone, else the default
/// @param gguf choices of `gguf`, else the default
/// @param sharedWithCpu into how many NUMA nodes KTransformers cuts the experts of this checkpoint
///   when it loads them; empty where it does not
/// @param calibrated what is chosen from a calibration
/// @param exact whether codes and scales are the source's or refused: nothing is quantized again
public record TargetSpec(
    Target target,
    Optional<ScaleFormat> scales,
    List<Selector> keep,
    List<Selector> quantize,
    Optional<BoundsSpec> bounds,
    ExpertChoices experts,
    GgufOptions gguf,
    OptionalInt sharedWithCpu,
    Calibrated calibrated,
    boolean exact) {

  /// The type of GGUF files whose recipe names none.
  public static final GgufOptions DEFAULT_GGUF = GgufOptions.of(GgmlType.Q8_0);

  public TargetSpec {
    keep = List.copyOf(keep);
    quantize = List.copyOf(quantize);
    if (scales.isPresent() && !choosesScales(target)) {
      throw new IllegalArgumentException(target.label() + " has no choice of scales");
    }
  }

  /// A target that follows its own rule throughout.
  public static TargetSpec of(Target target) {
    return new TargetSpec(
        target,
        Optional.empty(),
        List.of(),
        List.of(),
        Optional.empty(),
        ExpertChoices.DEFAULT,
        DEFAULT_GGUF,
        OptionalInt.empty(),
        Calibrated.NOTHING,
        false);
  }

  /// The same target with these choices.
  public TargetSpec with(ExpertChoices choices) {
    return new TargetSpec(
        target, scales, keep, quantize, bounds, choices, gguf, sharedWithCpu, calibrated, exact);
  }

  /// The same target with these choices.
  public TargetSpec with(GgufOptions options) {
    return new TargetSpec(
        target, scales, keep, quantize, bounds, experts, options, sharedWithCpu, calibrated, exact);
  }

  /// The same target, with other tensors to keep.
  public TargetSpec withKeep(List<Selector> selectors) {
    return new TargetSpec(
        target,
        scales,
        selectors,
        quantize,
        bounds,
        experts,
        gguf,
        sharedWithCpu,
        calibrated,
        exact);
  }

  /// The same target, with these bounds unless it has its own.
  TargetSpec withBounds(BoundsSpec forAll) {
    return bounds.isPresent()
        ? this
        : new TargetSpec(
            target,
            scales,
            keep,
            quantize,
            Optional.of(forAll),
            experts,
            gguf,
            sharedWithCpu,
            calibrated,
            exact);
  }

  /// The same target with the source's codes and scales, or nothing.
  public TargetSpec exactly() {
    return new TargetSpec(
        target, scales, keep, quantize, bounds, experts, gguf, sharedWithCpu, calibrated, true);
  }

  /// The name of the target's folder: its label, and what sets it apart from the same target with
  /// other choices, such as `kt-amx-int8-numa2` or `gguf-q4_k`.
  public String name() {
    return ownName() + calibrated.suffix();
  }

  private String ownName() {
    return switch (target.kind()) {
      case CHECKPOINT -> target.label();
      case EXPERTS ->
          target.label()
              + (experts.numa() == 1 ? "" : "-numa" + experts.numa())
              + (experts.form() == ExpertChoices.Form.MERGED ? "" : "-tree")
              + (experts.rule() == ExpertPacker.Rule.UPSTREAM ? "-upstream" : "");
      case GGUF ->
          exact
              ? target.label()
              : target.label()
                  + "-"
                  + gguf.types().linear().name().toLowerCase(Locale.ROOT)
                  + (gguf.types().rules().isEmpty() ? "" : "-mixed")
                  + (gguf.latent() == LatentForm.SPLIT ? "" : "-fused");
    };
  }

  /// Whether solvers can choose the codes: those with a scale for each row, or for a run of it.
  static boolean choosesSolver(Target target) {
    return switch (target) {
      case INT8_CHANNEL,
          CT_INT8,
          ASCEND_W8A8,
          CT_W4A16,
          RAWINT4,
          KT_AMX_INT8,
          KT_AMX_INT4,
          KT_AOCL_INT8 ->
          true;
      case BF16, FP8_BLOCK, CT_FP8_BLOCK, CT_FP8_CHANNEL, INT8_BLOCK, GGUF -> false;
    };
  }

  /// Whether a solver has the one scale of each row to fit.
  static boolean hasOneScaleARow(Target target) {
    return choosesSolver(target) && target != Target.CT_W4A16 && target != Target.RAWINT4;
  }

  static boolean choosesScales(Target target) {
    return target == Target.FP8_BLOCK;
  }

  /// Whether KTransformers computes with the experts of such a checkpoint as they are.
  static boolean servesFromCpu(Target target) {
    return switch (target) {
      case BF16, FP8_BLOCK, CT_FP8_CHANNEL, RAWINT4 -> true;
      case CT_FP8_BLOCK,
          INT8_CHANNEL,
          INT8_BLOCK,
          CT_INT8,
          ASCEND_W8A8,
          CT_W4A16,
          KT_AMX_INT8,
          KT_AMX_INT4,
          KT_AOCL_INT8,
          GGUF ->
          false;
    };
  }

  /// Whether the recipe may name tensors to keep and to quantize.
  static boolean choosesTensors(Target target) {
    return target.kind() == Kind.CHECKPOINT && target != Target.BF16;
  }
}
