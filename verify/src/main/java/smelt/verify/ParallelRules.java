package smelt.verify;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import smelt.formats.Shape;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.SourceTensor;

/// Into how many parts loaders can split the model over devices (tensor parallel).
///
/// | module | split | each part must be a multiple of |
/// |---|---|---|
/// | q_b, kv_b, q, k, v | rows | the block's rows |
/// | gate, up, w1, w3 | rows; merged, so also unsplit | the block's rows |
/// | o, down, w2 | columns | the block's columns, or the group |
/// | q_a | not split, but merged with kv_a | the block's rows |
///
/// Attention heads are split too, so their number must be a multiple.
final class ParallelRules {

  static final List<Integer> SIZES = List.of(1, 2, 4, 8, 16, 32);

  private static final Set<String> BY_ROWS = Set.of("q_b_proj", "kv_b_proj", "q_proj");
  private static final Set<String> KEY_VALUE = Set.of("k_proj", "v_proj");
  private static final Set<String> MERGED = Set.of("gate_proj", "up_proj", "w1", "w3");
  private static final Set<String> BY_COLS = Set.of("o_proj", "down_proj", "w2");

  /// What matters of a module for splitting: many share one.
  ///
  /// @param rows of a block; 1 where rows may be cut anywhere
  /// @param cols of a block or group; 1 where columns may be cut anywhere
  private record Kind(String last, Shape shape, int rows, int cols) {}

  private ParallelRules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.any(
            "tensor-parallel",
            "headers, config",
            "weights can be split over devices: a table for 1 to 32; not even unsplit fails",
            ParallelRules::table));
  }

  private static void table(Facts facts, Findings out) {
    Map<Integer, List<String>> table = reasons(facts);
    if (facts.modules().values().stream().noneMatch(LinearNames::isLinear)) {
      out.skip("no linear that a loader would split");
      return;
    }
    for (String reason : table.get(1)) {
      out.fail(
          "all devices counts",
          reason,
          "multiples of the block size",
          "loaders refuse the model on one device as on many");
    }
    String rows =
        table.entrySet().stream()
            .map(entry ->
                entry.getKey()
                    + (entry.getValue().isEmpty()
                        ? " yes"
                        : " no (" + entry.getValue().getFirst() + ")"))
            .collect(Collectors.joining("; "));
    out.note(
        "tensor parallel sizes",
        rows,
        "a size marked yes",
        "loaders stop with a size marked no; more devices need expert or data parallelism");
  }

  /// For each size what stands against it; nothing where it works.
  static Map<Integer, List<String>> reasons(Facts facts) {
    Set<Kind> kinds = new LinkedHashSet<>();
    for (WeightModule module : facts.modules().values()) {
      if (module.matrix().isPresent() && LinearNames.isLinear(module)) {
        kinds.add(kind(facts, module));
      }
    }
    OptionalInt heads = number(facts, "num_attention_heads");
    OptionalInt keyValueHeads = number(facts, "num_key_value_heads");
    Map<Integer, List<String>> reasons = new TreeMap<>();
    for (int size : SIZES) {
      List<String> against = new ArrayList<>();
      if (heads.isPresent() && heads.getAsInt() % size != 0) {
        against.add(heads.getAsInt() + " attention heads / " + size);
      }
      boolean copied = keyValueHeads.isPresent() && size > keyValueHeads.getAsInt();
      for (Kind kind : kinds) {
        if (!(copied && KEY_VALUE.contains(kind.last()))) {
          against(kind, size).ifPresent(against::add);
        }
      }
      reasons.put(size, against);
    }
    return reasons;
  }

  private static Optional<String> against(Kind kind, int size) {
    Shape shape = kind.shape();
    String last = kind.last();
    if (BY_ROWS.contains(last) || KEY_VALUE.contains(last)) {
      return against(last + " rows", shape.dim(0), size, size == 1 ? 1 : kind.rows());
    }
    if (MERGED.contains(last)) {
      return against(last + " rows", shape.dim(0), size, kind.rows());
    }
    if (last.equals("q_a_proj")) {
      return against(last + " rows", shape.dim(0), 1, kind.rows());
    }
    return BY_COLS.contains(last)
        ? against(last + " columns", shape.dim(1), size, size == 1 ? 1 : kind.cols())
        : Optional.empty();
  }

  private static Optional<String> against(String what, long length, int size, int unit) {
    if (length % size == 0 && length / size % unit == 0) {
      return Optional.empty();
    }
    String part = what + ": " + length + (size == 1 ? "" : " / " + size);
    return Optional.of(unit == 1 ? part : part + " is no multiple of " + unit);
  }

  private static Kind kind(Facts facts, WeightModule module) {
    Shape shape = module.matrix().orElseThrow();
    Optional<SourceTensor> packed = module.part("weight_packed");
    Optional<SourceTensor> scale = module.part("weight_scale").filter(s -> s.shape().rank() == 2);
    if (packed.isPresent() && scale.isPresent()) {
      return new Kind(module.last(), scale.get().shape(), 1, 1);
    }
    boolean blocks = module.quantized() && FusionRules.encoding(module).endsWith(" by block");
    Quantization.Block block =
        switch (facts.quantization()) {
          case Quantization.Fp8Block b -> new Quantization.Block(b.rows(), b.cols());
          case Quantization.Int8Block b -> new Quantization.Block(b.rows(), b.cols());
          case Quantization.CompressedTensors(CtConfig config) ->
              config
                  .groupOf(module.name())
                  .flatMap(CtConfig.Group::weights)
                  .flatMap(CtArgs::block)
                  .orElse(new Quantization.Block(128, 128));
          case Quantization.None _,
              Quantization.Fp8Tensor _,
              Quantization.Int8Channel _,
              Quantization.Ascend _,
              Quantization.Other _,
              Quantization.Malformed _ ->
              new Quantization.Block(128, 128);
        };
    return blocks
        ? new Kind(module.last(), shape, block.rows(), block.cols())
        : new Kind(module.last(), shape, 1, 1);
  }

  private static OptionalInt number(Facts facts, String key) {
    Optional<ModelConfig> config = facts.config().value();
    return config.isEmpty() ? OptionalInt.empty() : Json.integer(config.get().tree(), key);
  }
}
