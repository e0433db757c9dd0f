package smelt.verify;

import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import smelt.verify.WeightForm.Coded;

/// Rules on lists of modules that a method leaves alone, and on which loaders honour them.
final class IgnoreRules {

  private static final String IGNORE = "config.json: list of ignored modules";

  private IgnoreRules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.any(
            "ignore-as-stored",
            "config, headers",
            "exactly the linears that are stored plain are in the list of ignored modules",
            IgnoreRules::asStored),
        Rule.any(
            "ignore-names-something",
            "config, headers",
            "every entry of the list of ignored modules names a module of the model",
            IgnoreRules::namesSomething),
        Rule.any(
            "ignore-whole-groups",
            "config",
            "what loaders merge is ignored together or not at all",
            IgnoreRules::wholeGroups),
        Rule.of(
            "ignore-honoured",
            EnumSet.of(ServingRuntime.VLLM, ServingRuntime.SGLANG),
            "config",
            "no routed expert is ignored where the loader quantizes experts all the same",
            IgnoreRules::honoured),
        Rule.of(
            "ct-int8-kv-b-plain",
            EnumSet.of(ServingRuntime.SGLANG),
            "config, headers",
            "kv_b_proj is plain in a compressed-tensors INT8 checkpoint",
            IgnoreRules::keyValueB));
  }

  private static void asStored(Facts facts, Findings out) {
    if (facts.quantized().isEmpty() || !hasList(facts)) {
      out.skip("nothing is declared that could leave modules alone");
      return;
    }
    for (WeightModule module : facts.modules().values()) {
      if (module.weight().isEmpty()) {
        continue;
      }
      WeightForm form = WeightForm.declared(facts.quantization(), module);
      if (form instanceof Coded coded && !module.quantized()) {
        out.fail(
            Facts.where(module),
            "plain " + module.weight().get().type() + ", and not ignored",
            coded.label() + ", or an entry in the list of ignored modules",
            "the loader casts the numbers to codes and finds no scale: garbage from this layer on");
      } else if (form instanceof WeightForm.Plain
          && module.quantized()
          && LinearNames.isLinear(module)) {
        out.fail(
            Facts.where(module),
            module.weight().get().type() + " codes, but ignored or not a target",
            "a weight that the config tells the loader to decode",
            "the loader creates it in BF16 and casts the codes unscaled: '!!!!'");
      }
      precise(facts, module, out);
    }
  }

  /// compressed-tensors' own loader takes the target `Linear` for every linear of the model.
  private static void precise(Facts facts, WeightModule module, Findings out) {
    boolean linear =
        LinearNames.isPrecise(module)
            && module.matrix().isPresent()
            && !module.last().equals("embed_tokens");
    if (linear
        && !module.quantized()
        && facts.quantization() instanceof Quantization.CompressedTensors(CtConfig config)
        && config.groupOf(module.name()).isPresent()) {
      out.warn(
          Facts.where(module),
          "plain, and not in ignore",
          "an entry in ignore: the target means it too",
          "transformers looks for its scale and stops; vLLM and SGLang leave it alone anyway");
    }
  }

  private static boolean hasList(Facts facts) {
    return switch (facts.quantization()) {
      case Quantization.Fp8Block _,
          Quantization.Fp8Tensor _,
          Quantization.Int8Block _,
          Quantization.Int8Channel _,
          Quantization.CompressedTensors _ ->
          true;
      case Quantization.None _,
          Quantization.Ascend _,
          Quantization.Other _,
          Quantization.Malformed _ ->
          false;
    };
  }

  private static void namesSomething(Facts facts, Findings out) {
    List<String> entries = facts.quantization().ignored();
    if (entries.isEmpty() || !facts.unreadable().isEmpty()) {
      out.skip(entries.isEmpty() ? "no module is ignored" : Facts.INCOMPLETE);
      return;
    }
    Set<String> prefixes = prefixes(facts);
    boolean patterns = facts.quantization() instanceof Quantization.CompressedTensors;
    for (String entry : new TreeSet<>(entries)) {
      boolean pattern = patterns && entry.startsWith("re:");
      if (pattern ? !matchesAny(entry, facts) : !prefixes.contains(entry)) {
        out.warn(
            IGNORE,
            "'" + entry + "'",
            "the name of a module, or a pattern that matches one",
            "it protects nothing: the module that it was meant for has another name and is"
                + " quantized");
      }
    }
  }

  private static Set<String> prefixes(Facts facts) {
    Set<String> prefixes = new TreeSet<>();
    for (String name : facts.modules().keySet()) {
      String prefix = name;
      while (prefixes.add(prefix) && prefix.lastIndexOf('.') > 0) {
        prefix = prefix.substring(0, prefix.lastIndexOf('.'));
      }
    }
    return prefixes;
  }

  private static boolean matchesAny(String entry, Facts facts) {
    CtTargets targets = CtTargets.of(List.of(entry));
    return facts.modules().keySet().stream().anyMatch(targets::matches);
  }

  private static void wholeGroups(Facts facts, Findings out) {
    if (facts.quantization().ignored().isEmpty()) {
      out.skip("no module is ignored");
      return;
    }
    for (WeightModule module : facts.modules().values()) {
      for (List<String> group : LinearNames.FUSED) {
        if (!module.last().equals(group.getFirst())) {
          continue;
        }
        for (String other : group.subList(1, group.size())) {
          WeightModule partner = facts.modules().get(module.parent() + other);
          if (partner != null && ignored(facts, partner) != ignored(facts, module)) {
            out.fail(
                IGNORE,
                "one of " + module.name() + " and " + other + ", not both",
                "both or none",
                "vLLM stops with a ValueError: the merged module would be half quantized");
          }
        }
      }
    }
  }

  static boolean ignored(Facts facts, WeightModule module) {
    return facts.quantization() instanceof Quantization.CompressedTensors(CtConfig config)
        ? config.ignore().matches(module.name())
        : facts.quantization().ignored().stream()
            .anyMatch(entry -> LinearNames.ignores(entry, module.name()));
  }

  private static void honoured(Facts facts, Findings out) {
    boolean nativeFp8 =
        facts.quantization() instanceof Quantization.Fp8Block
            || facts.quantization() instanceof Quantization.Fp8Tensor;
    boolean ct = facts.quantization() instanceof Quantization.CompressedTensors;
    if ((!nativeFp8 && !ct) || facts.quantization().ignored().isEmpty()) {
      out.skip("no module is ignored that could be a routed expert");
      return;
    }
    Set<String> seen = new TreeSet<>();
    for (WeightModule module : facts.modules().values()) {
      Optional<LinearNames.Expert> expert = LinearNames.expert(module.name());
      if (expert.isEmpty() || !ignored(facts, module) || !seen.add(expert.get().group())) {
        continue;
      }
      if (nativeFp8) {
        out.add(
            Severity.FAIL,
            EnumSet.of(ServingRuntime.SGLANG),
            expert.get().group(),
            "ignored experts",
            "no routed expert in the list: SGLang's fp8 honours it for linears only",
            "SGLang creates the experts in FP8 all the same and casts their weights unscaled");
      } else {
        wholeLayer(facts, expert.get().group(), out);
      }
    }
  }

  /// vLLM asks only for expert 0 whether a layer's experts are encoded.
  private static void wholeLayer(Facts facts, String group, Findings out) {
    List<WeightModule> experts =
        facts.modules().subMap(group + ".", group + "/").values().stream().toList();
    long left = experts.stream().filter(module -> ignored(facts, module)).count();
    if (left != experts.size()) {
      out.add(
          Severity.FAIL,
          EnumSet.of(ServingRuntime.VLLM),
          group,
          left + " of " + experts.size() + " modules ignored",
          "all experts of a layer, or none",
          "vLLM takes the scheme of experts.0 for the whole layer");
    }
  }

  private static void keyValueB(Facts facts, Findings out) {
    if (!(facts.quantization() instanceof Quantization.CompressedTensors)) {
      out.skip("not compressed-tensors");
      return;
    }
    for (WeightModule module : facts.modules().values()) {
      if (module.last().equals("kv_b_proj")
          && module.quantized()
          && module.weight().orElseThrow().type() == smelt.formats.ElementType.I8) {
        out.fail(
            Facts.where(module),
            "I8",
            "BF16, and an entry in ignore",
            "SGLang absorbs kv_b_proj into attention without its scales: attention is garbage");
      }
    }
  }
}
