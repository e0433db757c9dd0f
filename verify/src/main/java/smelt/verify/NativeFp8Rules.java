package smelt.verify;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import smelt.formats.Shape;

/// Rules of KTransformers' `FP8`, which computes with a checkpoint's experts in FP8 blocks as they
/// are.
final class NativeFp8Rules {

  private static final Set<ServingRuntime> KTRANSFORMERS = EnumSet.of(ServingRuntime.KTRANSFORMERS);
  private static final long BLOCK = 128;
  private static final List<Long> NODES = List.of(1L, 2L, 4L, 8L);
  private static final Set<String> DOWN = Set.of("down_proj", "w2");

  private NativeFp8Rules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.of(
            "fp8-blocks-of-128",
            KTRANSFORMERS,
            "headers, config",
            "FP8 experts are whole blocks of 128 x 128, for each of so many NUMA nodes",
            NativeFp8Rules::blocks));
  }

  private static void blocks(Facts facts, Findings out) {
    List<WeightModule> experts =
        facts.quantized().stream()
            .filter(module -> LinearNames.expert(module.name()).isPresent())
            .filter(module -> module.matrix().isPresent())
            .toList();
    if (!(facts.quantization() instanceof Quantization.Fp8Block declared) || experts.isEmpty()) {
      out.skip("no routed expert is in FP8 blocks");
      return;
    }
    if (declared.rows() != BLOCK || declared.cols() != BLOCK) {
      out.fail(
          "config.json: quantization_config",
          "blocks of " + declared.rows() + "x" + declared.cols(),
          "blocks of 128x128",
          "the kernels multiply by the scale of another block: pack the experts as AMXINT8 instead");
      return;
    }
    for (WeightModule module : experts) {
      Shape shape = module.matrix().orElseThrow();
      if (shape.dim(0) % BLOCK != 0 || shape.dim(1) % BLOCK != 0) {
        out.fail(
            Facts.where(module),
            shape.toString(),
            "multiples of 128",
            "the kernels have no code for a part of a block: pack the experts as AMXINT8 instead");
        return;
      }
    }
    long width = experts.stream().map(NativeFp8Rules::width).min(Long::compare).orElseThrow();
    String counts =
        NODES.stream()
            .map(nodes -> nodes + (width % (nodes * BLOCK) == 0 ? " yes" : " no"))
            .collect(Collectors.joining("; "));
    out.note(
        "NUMA nodes",
        counts,
        "a number marked yes as --kt-threadpool-count",
        "each node's share of an expert's width " + width + " must be whole blocks of 128");
  }

  /// The intermediate size: rows of gate and up, columns of down.
  private static long width(WeightModule module) {
    Shape shape = module.matrix().orElseThrow();
    return DOWN.contains(module.last()) ? shape.dim(1) : shape.dim(0);
  }
}
