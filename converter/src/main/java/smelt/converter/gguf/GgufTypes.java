package smelt.converter.gguf;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import smelt.converter.recipe.Selector;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.ggml.BlockQuantizer;
import smelt.formats.gguf.GgmlType;

/// Which type the weights of linears, the embedding and the head get. Norms, routers and biases are
/// F32 in every file and are not asked for here. Types with interleaved rows are for routed experts
/// that a rule picks: only a CPU's kernels read them.
///
/// @param linear the type of what no rule picks
/// @param rules the first that picks a weight decides
public record GgufTypes(GgmlType linear, List<Rule> rules) {

  /// A type for some of the weights.
  public record Rule(Selector selector, GgmlType type) {
    public Rule {
      requireWritten(type);
    }
  }

  private static final Set<GgmlType> PLAIN = Set.of(GgmlType.F32, GgmlType.F16, GgmlType.BF16);

  public GgufTypes {
    requireWritten(linear);
    if (linear.interleavedRows() > 1) {
      throw new UnsupportedException(
          linear + " for all weights", "rows are interleaved for routed experts only, by a rule");
    }
    rules = List.copyOf(rules);
  }

  /// One type for all.
  public static GgufTypes of(GgmlType linear) {
    return new GgufTypes(linear, List.of());
  }

  /// The type that is wanted for a weight, whatever its rows.
  public GgmlType wanted(TensorRole role, String weight) {
    return rules.stream()
        .filter(rule -> rule.selector().matches(role, weight))
        .map(Rule::type)
        .findFirst()
        .orElse(linear);
  }

  /// The type that rows get when they do not fill blocks of the one that is wanted: what
  /// llama.cpp's quantizer takes instead.
  ///
  /// | wanted | instead |
  /// |---|---|
  /// | `Q2_K`, `Q3_K`, `TQ1_0`, `TQ2_0` | `Q4_0` |
  /// | `Q4_K`, `Q5_K`, `Q6_K` | `Q5_0`, `Q5_1`, `Q8_0` |
  /// | `IQ1`, `IQ2`, `IQ3` and `IQ4_XS` | `IQ4_NL` |
  /// | `Q4_K_R4`, `Q6_K_R4` | as without `_R4` |
  /// | blocks that these do not fill either, and all others | `F16` |
  public static GgmlType fitting(GgmlType wanted, long rowElements) {
    if (rowElements % wanted.blockElements() == 0) {
      return wanted;
    }
    Optional<GgmlType> shorter =
        switch (wanted.plain()) {
          case Q2_K, Q3_K, TQ1_0, TQ2_0 -> Optional.of(GgmlType.Q4_0);
          case Q4_K -> Optional.of(GgmlType.Q5_0);
          case Q5_K -> Optional.of(GgmlType.Q5_1);
          case Q6_K -> Optional.of(GgmlType.Q8_0);
          case IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ4_XS ->
              Optional.of(GgmlType.IQ4_NL);
          default -> Optional.empty();
        };
    return shorter.filter(type -> rowElements % type.blockElements() == 0).orElse(GgmlType.F16);
  }

  /// Whether files can have a type.
  public static boolean canWrite(GgmlType type) {
    return PLAIN.contains(type) || BlockQuantizer.canWrite(type.plain());
  }

  private static void requireWritten(GgmlType type) {
    if (!canWrite(type)) {
      throw new UnsupportedException(
          "writing GGUF in " + type,
          Stream.of(GgmlType.values())
                  .filter(GgufTypes::canWrite)
                  .map(GgmlType::name)
                  .collect(Collectors.joining(", "))
              + " can be written");
    }
  }
}
