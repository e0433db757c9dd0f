package smelt.verify;

import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import smelt.formats.Shape;
import smelt.formats.checkpoint.SourceTensor;

/// Rules on modules that loaders merge: all parts must be encoded alike.
final class FusionRules {

  static final String SHARED_EXPERT_FLAG = "--disable-shared-experts-fusion";

  private FusionRules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.any(
            "fused-alike",
            "headers",
            "what loaders merge is encoded alike: (q_a, kv_a), (gate, up), (q, k, v)",
            FusionRules::fusedAlike),
        Rule.any(
            "experts-alike",
            "headers",
            "all routed experts of a layer are encoded alike",
            FusionRules::expertsAlike),
        Rule.of(
            "shared-expert-as-routed",
            EnumSet.of(ServingRuntime.SGLANG),
            "headers",
            "shared and routed experts are encoded alike, or SGLang needs a launch flag",
            FusionRules::sharedAsRouted),
        Rule.of(
            "fused-scales-equal",
            EnumSet.of(ServingRuntime.SGLANG),
            "data",
            "per-tensor scales of q_a and kv_a are equal",
            FusionRules::scalesEqual));
  }

  /// Pairs of which one part is ignored are left to `ignore-whole-groups`.
  private static void fusedAlike(Facts facts, Findings out) {
    for (WeightModule module : facts.modules().values()) {
      for (List<String> group : LinearNames.FUSED) {
        if (!module.last().equals(group.getFirst())) {
          continue;
        }
        for (String other : group.subList(1, group.size())) {
          WeightModule partner = facts.modules().get(module.parent() + other);
          if (partner != null
              && !encoding(partner).equals(encoding(module))
              && IgnoreRules.ignored(facts, partner) == IgnoreRules.ignored(facts, module)) {
            out.fail(
                Facts.where(partner),
                encoding(partner),
                encoding(module) + ", as " + module.name(),
                "vLLM stops with a ValueError; SGLang gives one part the other's scales");
          }
        }
      }
    }
  }

  private static void expertsAlike(Facts facts, Findings out) {
    for (List<WeightModule> experts : expertGroups(facts).values()) {
      Map<String, Long> counts = new TreeMap<>();
      experts.forEach(expert -> counts.merge(encoding(expert), 1L, Long::sum));
      if (counts.size() < 2) {
        continue;
      }
      String usual =
          counts.entrySet().stream().max(Map.Entry.comparingByValue()).orElseThrow().getKey();
      for (WeightModule expert : experts) {
        if (!encoding(expert).equals(usual)) {
          out.fail(
              Facts.where(expert),
              encoding(expert),
              usual + ", as the other experts of the layer",
              "loaders take the encoding of expert 0 for all: this expert's weights are misread");
        }
      }
    }
  }

  private static Map<String, List<WeightModule>> expertGroups(Facts facts) {
    Map<String, List<WeightModule>> groups = new LinkedHashMap<>();
    for (WeightModule module : facts.modules().values()) {
      Optional<LinearNames.Expert> expert = LinearNames.expert(module.name());
      if (expert.isPresent() && module.weight().isPresent()) {
        groups.computeIfAbsent(expert.get().group(), _ -> new ArrayList<>()).add(module);
      }
    }
    return groups;
  }

  private static void sharedAsRouted(Facts facts, Findings out) {
    List<String> layers = new ArrayList<>();
    String example = "";
    for (Map.Entry<String, List<WeightModule>> entry : expertGroups(facts).entrySet()) {
      String layer = entry.getKey().substring(0, entry.getKey().lastIndexOf('.'));
      String routed = encoding(entry.getValue().getFirst());
      for (String projection : List.of("gate_proj", "up_proj", "down_proj")) {
        WeightModule shared = facts.modules().get(layer + ".shared_experts." + projection);
        if (shared != null && !encoding(shared).equals(routed) && !layers.contains(layer)) {
          layers.add(layer);
          example = encoding(shared) + " beside routed experts in " + routed;
        }
      }
    }
    if (!layers.isEmpty()) {
      out.note(
          layers.getFirst() + ".shared_experts and " + (layers.size() - 1) + " more layers",
          example,
          "one encoding for shared and routed experts",
          "SGLang loads the shared expert as one more routed expert: start it with "
              + SHARED_EXPERT_FLAG);
    }
  }

  private static void scalesEqual(Facts facts, Findings out) throws IOException {
    if (facts.data().isEmpty()) {
      out.skip(DataRules.NOT_READ);
      return;
    }
    for (WeightModule queries : facts.modules().values()) {
      WeightModule keys = facts.modules().get(queries.parent() + "kv_a_proj_with_mqa");
      if (!queries.last().equals("q_a_proj") || keys == null) {
        continue;
      }
      for (String part : List.of("weight_scale", "input_scale")) {
        Optional<SourceTensor> first = queries.part(part).filter(FusionRules::isScalar);
        Optional<SourceTensor> second = keys.part(part).filter(FusionRules::isScalar);
        if (first.isPresent() && second.isPresent()) {
          equal(facts, first.get(), second.get(), out);
        }
      }
    }
  }

  private static void equal(Facts facts, SourceTensor first, SourceTensor second, Findings out)
      throws IOException {
    double a = Scalars.read(facts.source(), first);
    double b = Scalars.read(facts.source(), second);
    if (a != b) {
      out.fail(
          Facts.where(second),
          Double.toString(b),
          a + ", as " + first.name(),
          "SGLang merges the two and takes the first scale for both: keys and values are misscaled");
    }
  }

  private static boolean isScalar(SourceTensor tensor) {
    return tensor.shape().elements() == 1 && WeightForm.NUMBERS.contains(tensor.type());
  }

  /// The stored encoding of a module's weight in words, such as `I8 with weight_scale by row`.
  static String encoding(WeightModule module) {
    Optional<SourceTensor> weight = module.weight();
    if (weight.isEmpty()) {
      return "no weight";
    }
    StringBuilder words = new StringBuilder();
    words.append(module.quantized() ? weight.get().type().toString() : "plain");
    module.parts().keySet().stream()
        .filter(WeightModule.COMPANIONS::contains)
        .sorted()
        .forEach(part ->
            words.append(" with ").append(part).append(by(module, module.parts().get(part))));
    return words.toString();
  }

  private static String by(WeightModule module, SourceTensor part) {
    Shape shape = part.shape();
    if (shape.elements() == 1 && shape.rank() < 2) {
      return " by tensor";
    }
    if (module.parts().containsKey("weight_packed")) {
      return shape.rank() == 2 ? " by group" : "";
    }
    boolean rows =
        shape.rank() == 2
            && shape.dim(1) == 1
            && module.matrix().filter(m -> m.dim(0) == shape.dim(0)).isPresent();
    return rows ? " by row" : shape.rank() == 2 ? " by block" : "";
  }
}
