package smelt.converter.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import smelt.converter.recipe.Selector;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.target.Precision;
import smelt.converter.target.Target;
import smelt.converter.target.TargetFormat;
import smelt.formats.ElementType;
import smelt.formats.Problem;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;

/// Decides for one target how each weight is encoded: the target's table, then the recipe's `keep`
/// and `quantize`, then the loaders' demand that fused modules agree.
final class WeightRules {

  private final TargetSpec spec;
  private final TargetFormat format;
  private final List<Problem> problems = new ArrayList<>();
  private final Map<String, GroupState> groups = new TreeMap<>();
  private final SortedMap<Long, List<String>> misfits = new TreeMap<>();

  private record GroupState(boolean quantized, String firstName) {}

  WeightRules(TargetSpec spec, TargetFormat format) {
    this.spec = spec;
    this.format = format;
  }

  /// The encoding of this weight in the output.
  Encoding encoding(Weight weight) {
    boolean quantized = isQuantized(weight);
    checkGroup(weight, quantized);
    if (quantized && fitsGroups(weight)) {
      Encoding wanted = format.quantized().orElseThrow();
      return isServedAsItIs(weight.encoding(), wanted) ? weight.encoding() : wanted;
    }
    return weight.encoding() instanceof Encoding.Plain
        ? weight.encoding()
        : new Encoding.Plain(ElementType.BF16);
  }

  /// What the recipe asks for and the loaders would refuse; complete once every weight was seen.
  List<Problem> problems() {
    List<Problem> all = new ArrayList<>(problems);
    misfits.forEach((columns, names) -> all.add(misfit(columns, names)));
    return all;
  }

  private boolean isQuantized(Weight weight) {
    Precision precision = Precision.of(spec.target(), weight.role());
    boolean kept = matches(spec.keep(), weight);
    boolean asked = matches(spec.quantize(), weight);
    return switch (precision) {
      case QUANTIZED -> {
        if (kept && weight.role() instanceof TensorRole.RoutedExpert && !keepsExperts()) {
          problems.add(
              problem(
                  weight.name() + " (routed_expert) under `keep`",
                  "routed experts quantized: the loader quantizes all of them or none",
                  "remove it, or take a compressed-tensors target"));
        }
        yield !kept;
      }
      case KEPT -> asked && !kept;
      case NEVER -> {
        if (asked) {
          problems.add(
              problem(
                  weight.name() + " (" + weight.role().label() + ") under `quantize`",
                  "a linear of attention, indexer or feed-forward",
                  "no loader of " + spec.target().label() + " takes it quantized; remove it"));
        }
        yield false;
      }
    };
  }

  /// Whether the weight's rows are whole groups, or the target has none.
  private boolean fitsGroups(Weight weight) {
    long columns = weight.shape().dim(1);
    boolean fits = format.rowStep().isEmpty() || columns % format.rowStep().getAsLong() == 0;
    if (!fits) {
      misfits.computeIfAbsent(columns, _ -> new ArrayList<>()).add(weight.name());
    }
    return fits;
  }

  private Problem misfit(long columns, List<String> names) {
    long step = format.rowStep().orElseThrow();
    String others = names.size() == 1 ? "" : " and " + (names.size() - 1) + " more";
    return problem(
        names.getFirst() + others + " with rows of " + columns + " numbers",
        "rows of a multiple of " + step + " numbers",
        "name them under `keep`, or take a target with a scale per channel");
  }

  /// Loaders of the native forms make every mixture-of-experts layer a quantized one, whatever the
  /// config ignores; those of compressed-tensors and Ascend ask for each layer.
  private boolean keepsExperts() {
    return switch (spec.target()) {
      case FP8_BLOCK, INT8_BLOCK, INT8_CHANNEL -> false;
      case BF16, CT_FP8_BLOCK, CT_FP8_CHANNEL, CT_INT8, CT_W4A16, RAWINT4, ASCEND_W8A8 -> true;
      case KT_AMX_INT8, KT_AMX_INT4, KT_AOCL_INT8, GGUF ->
          throw new IllegalStateException(spec.target().label() + " is no checkpoint");
    };
  }

  /// A block of power-of-two scales is a valid block of any scales, and vLLM takes INT4 with any
  /// scales and codes. `RAWINT4` does not.
  private boolean isServedAsItIs(Encoding source, Encoding wanted) {
    if (source instanceof Encoding.Int4 from && wanted instanceof Encoding.Int4 to) {
      return spec.target() == Target.CT_W4A16 && from.group() == to.group();
    }
    return source instanceof Encoding.Block from
        && wanted instanceof Encoding.Block to
        && to.scaleFormat() == ScaleFormat.FLOAT
        && from.equals(
            new Encoding.Block(
                to.type(), to.blockRows(), to.blockCols(), to.scaleType(), from.scaleFormat()));
  }

  private void checkGroup(Weight weight, boolean quantized) {
    Optional<String> group = group(weight.role());
    if (group.isEmpty() || spec.target() == Target.BF16) {
      return;
    }
    GroupState first =
        groups.computeIfAbsent(group.get(), _ -> new GroupState(quantized, weight.name()));
    if (first.quantized() != quantized) {
      problems.add(
          problem(
              weight.name()
                  + (quantized ? " quantized, " : " kept, ")
                  + first.firstName()
                  + (first.quantized() ? " quantized" : " kept"),
              "one precision for all of " + group.get(),
              "loaders fuse them into one module; name the whole group in the recipe"));
    }
  }

  /// Modules that loaders fuse: all parts have one precision.
  private static Optional<String> group(TensorRole role) {
    return switch (role) {
      case TensorRole.Attention attention ->
          switch (attention.part()) {
            case Q_A, KV_A ->
                Optional.of("layer " + attention.layerIndex() + " q_a_proj and kv_a_proj");
            case Q, K, V -> Optional.of("layer " + attention.layerIndex() + " q, k and v");
            case O, Q_B, KV_B -> Optional.empty();
          };
      case TensorRole.DenseMlp mlp ->
          switch (mlp.projection()) {
            case GATE, UP -> Optional.of("layer " + mlp.layerIndex() + " gate_proj and up_proj");
            case DOWN -> Optional.empty();
          };
      case TensorRole.SharedExpert shared ->
          switch (shared.projection()) {
            case GATE, UP ->
                Optional.of("layer " + shared.layerIndex() + " shared gate_proj and up_proj");
            case DOWN -> Optional.empty();
          };
      case TensorRole.RoutedExpert expert ->
          Optional.of("layer " + expert.layerIndex() + " routed experts");
      case TensorRole.Embedding _,
          TensorRole.Head _,
          TensorRole.FinalNorm _,
          TensorRole.Norm _,
          TensorRole.AttentionBias _,
          TensorRole.Indexer _,
          TensorRole.Router _,
          TensorRole.RouterBias _,
          TensorRole.Mtp _,
          TensorRole.Foreign _ ->
          Optional.empty();
    };
  }

  private static boolean matches(List<Selector> selectors, Weight weight) {
    return selectors.stream().anyMatch(s -> s.matches(weight.role(), weight.name()));
  }

  private Problem problem(String found, String expected, String remedy) {
    return new Problem("recipe, target " + spec.target().label(), found, expected, remedy);
  }
}
