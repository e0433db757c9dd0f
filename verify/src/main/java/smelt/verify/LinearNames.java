package smelt.verify;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What the loaders conclude from a module's name alone, whatever the architecture.
final class LinearNames {

  /// Modules that loaders merge into one before they look at the encoding.
  static final List<List<String>> FUSED =
      List.of(
          List.of("q_a_proj", "kv_a_proj_with_mqa"),
          List.of("gate_proj", "up_proj"),
          List.of("q_proj", "k_proj", "v_proj"),
          List.of("w1", "w3"));

  private static final Set<String> LINEARS =
      Set.of(
          "q_proj",
          "k_proj",
          "v_proj",
          "o_proj",
          "q_a_proj",
          "q_b_proj",
          "kv_a_proj_with_mqa",
          "kv_b_proj",
          "gate_proj",
          "up_proj",
          "down_proj",
          "w1",
          "w2",
          "w3",
          "wq_b",
          "wk");

  /// Modules that every loader creates in high precision, whatever the config says.
  private static final Set<String> PRECISE =
      Set.of(
          "embed_tokens",
          "lm_head",
          "gate",
          "shared_expert_gate",
          "eh_proj",
          "weights_proj",
          "k_norm",
          "q_norm",
          "enorm",
          "hnorm");

  private static final Pattern EXPERT = Pattern.compile("(.+\\.experts)\\.(\\d{1,9})\\.(.+)");

  /// A routed expert's module.
  ///
  /// @param group all experts of the layer, such as `model.layers.3.mlp.experts`
  /// @param number as written
  /// @param projection the rest of the name
  record Expert(String group, String number, String projection) {}

  private LinearNames() {}

  /// Whether loaders create this module in the declared encoding unless they are told not to.
  static boolean isLinear(WeightModule module) {
    return LINEARS.contains(module.last());
  }

  /// Whether loaders always create this module in high precision.
  static boolean isPrecise(WeightModule module) {
    String last = module.last();
    return PRECISE.contains(last)
        || last.endsWith("norm")
        || module.name().endsWith("shared_head.head");
  }

  static Optional<Expert> expert(String module) {
    if (!module.contains(".experts.")) {
      return Optional.empty();
    }
    Matcher matcher = EXPERT.matcher(module);
    return matcher.matches()
        ? Optional.of(new Expert(matcher.group(1), matcher.group(2), matcher.group(3)))
        : Optional.empty();
  }

  /// Whether an entry of a native method's list of ignored modules means this module: the whole
  /// name, or the name of something that contains it.
  static boolean ignores(String entry, String module) {
    return module.startsWith(entry)
        && (module.length() == entry.length() || module.charAt(entry.length()) == '.');
  }
}
