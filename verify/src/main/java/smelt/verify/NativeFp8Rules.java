package smelt.verify;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/// Rules of KTransformers' `FP8`, which computes with a checkpoint's experts in FP8 blocks as they
/// are.
final class NativeFp8Rules {

  private static final Set<ServingRuntime> KTRANSFORMERS = EnumSet.of(ServingRuntime.KTRANSFORMERS);
  private static final int BLOCK = 128;

  private NativeFp8Rules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.of(
            "fp8-blocks-of-128",
            KTRANSFORMERS,
            "config",
            "FP8 experts have blocks of 128 x 128",
            NativeFp8Rules::blocks));
  }

  private static void blocks(Facts facts, Findings out) {
    boolean experts =
        facts.quantized().stream()
            .anyMatch(module -> LinearNames.expert(module.name()).isPresent());
    if (!(facts.quantization() instanceof Quantization.Fp8Block declared) || !experts) {
      out.skip("no routed expert is in FP8 blocks");
      return;
    }
    if (declared.rows() != BLOCK || declared.cols() != BLOCK) {
      out.fail(
          "config.json: quantization_config",
          "blocks of " + declared.rows() + "x" + declared.cols(),
          "blocks of 128x128",
          "the kernels multiply by the scale of another block: pack the experts as AMXINT8 instead");
    }
  }
}
