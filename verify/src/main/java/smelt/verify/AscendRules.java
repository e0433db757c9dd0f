package smelt.verify;

import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.SourceTensor;
import smelt.verify.WeightForm.Coded;

/// Rules of vllm-ascend, MindIE and SGLang on NPUs for Ascend's own form: a description file beside
/// the shards.
final class AscendRules {

  private static final Set<ServingRuntime> ASCEND = EnumSet.of(ServingRuntime.ASCEND);
  private static final String NO_DESCRIPTION = "there is no quant_model_description.json";
  private static final Set<String> EXPERT_TYPES =
      Set.of(AscendForms.FLOAT, AscendForms.DYNAMIC, "W4A8_DYNAMIC");

  private AscendRules() {}

  static List<Rule> rules() {
    return List.of(
        rule(
            "ascend-description",
            "description, headers",
            "quant_model_description.json has one type for each tensor, and no others",
            AscendRules::description),
        rule(
            "ascend-types",
            "description, headers",
            "each type in the description fits the stored tensors",
            AscendRules::types),
        rule(
            "ascend-expert-types",
            "description",
            "routed experts are W8A8_DYNAMIC, W4A8_DYNAMIC or FLOAT",
            AscendRules::experts),
        rule(
            "ascend-offset-zero",
            "data",
            "weight_offset is zero: dynamic INT8 is symmetric",
            AscendRules::offsets),
        rule(
            "ascend-no-quantization-config",
            "config",
            "config.json has no quantization_config beside a description",
            AscendRules::noConfig),
        rule("ascend-kv-b-float", "description", "kv_b_proj is FLOAT", AscendRules::keyValueB));
  }

  private static Rule rule(String name, String reads, String meaning, Rule.Test test) {
    return Rule.of(name, ASCEND, reads, meaning, test);
  }

  private static void description(Facts facts, Findings out) {
    if (facts.description() instanceof Document.Broken<Description> broken) {
      out.fail(
          broken.file(), broken.found(), broken.expected(), "vllm-ascend stops when it reads it");
      return;
    }
    Optional<Description> description = described(facts, out);
    if (description.isEmpty() || !facts.unreadable().isEmpty()) {
      return;
    }
    Map<String, String> types = description.get().types();
    String file = description.get().file();
    for (SourceTensor tensor : facts.tensors().values()) {
      if (!types.containsKey(tensor.name())) {
        out.fail(
            file + ": " + tensor.name(),
            "no entry",
            "a type for each tensor of the shards",
            "vllm-ascend stops with a KeyError when it builds this layer");
      }
    }
    for (String name : types.keySet()) {
      if (!facts.tensors().containsKey(name)) {
        out.fail(
            file + ": " + name,
            "a type for a tensor that no shard holds",
            "only names of tensors",
            "vllm-ascend waits for the tensor, and leaves the layer uninitialised");
      }
    }
  }

  private static Optional<Description> described(Facts facts, Findings out) {
    if (facts.description().value().isEmpty()) {
      out.skip(NO_DESCRIPTION);
    }
    return facts.description().value();
  }

  private static void types(Facts facts, Findings out) {
    Optional<Description> description = described(facts, out);
    if (description.isEmpty()) {
      return;
    }
    for (WeightModule module : facts.modules().values()) {
      String weight = module.name() + ".weight";
      String type = description.get().types().get(weight);
      if (type == null || module.weight().isEmpty()) {
        continue;
      }
      WeightForm form = WeightForm.declared(facts.quantization(), module);
      boolean fits =
          switch (form) {
            case Coded coded -> CompanionRules.codesFit(coded, module);
            case WeightForm.Plain _ -> !module.quantized();
            case WeightForm.Unknown _ -> true;
          };
      if (!fits) {
        out.fail(
            description.get().file() + ": " + weight,
            type + " for a weight stored as " + module.weight().get().type(),
            "the type that its tensors have",
            "the layer is built for another encoding and reads the bytes as such");
      }
      partTypes(module, type, description.get(), out);
    }
  }

  /// A module's companions carry the type of its weight.
  private static void partTypes(
      WeightModule module, String type, Description description, Findings out) {
    for (String part : module.parts().keySet()) {
      String own = description.types().get(module.name() + "." + part);
      if (WeightModule.COMPANIONS.contains(part) && own != null && !own.equals(type)) {
        out.fail(
            description.file() + ": " + module.name() + "." + part,
            own,
            type + ", as its weight",
            "the scale is looked up under another encoding than its weight");
      }
    }
  }

  private static void experts(Facts facts, Findings out) {
    Optional<Description> description = described(facts, out);
    if (description.isEmpty()) {
      return;
    }
    description
        .get()
        .types()
        .forEach((name, type) -> {
          if (name.endsWith(".weight")
              && LinearNames.expert(name).isPresent()
              && !EXPERT_TYPES.contains(type)) {
            out.fail(
                description.get().file() + ": " + name,
                type,
                "W8A8_DYNAMIC, W4A8_DYNAMIC or FLOAT",
                "there is no grouped kernel for such experts: the model does not start");
          }
        });
  }

  private static void offsets(Facts facts, Findings out) {
    Optional<Description> description = described(facts, out);
    if (description.isEmpty()) {
      return;
    }
    DataRules.each(
        facts,
        out,
        EnumSet.of(Anomaly.Kind.OFFSET_NOT_ZERO),
        (where, anomaly) -> {
          String type = description.get().types().get(anomaly.tensor().name());
          if (AscendForms.DYNAMIC.equals(type)) {
            out.fail(
                where,
                anomaly.found(),
                "zeros",
                "the kernel ignores the offset: weights come out shifted");
          }
        });
  }

  private static void noConfig(Facts facts, Findings out) {
    Optional<Description> description = described(facts, out);
    Optional<ModelConfig> config = facts.config().value();
    if (description.isPresent()
        && config.isPresent()
        && config.get().tree().has("quantization_config")) {
      out.fail(
          "config.json",
          "quantization_config beside " + description.get().file(),
          "no quantization_config",
          "vLLM picks that method and does not read the description: --quantization ascend fails");
    }
  }

  private static void keyValueB(Facts facts, Findings out) {
    Optional<Description> description = described(facts, out);
    if (description.isEmpty()) {
      return;
    }
    description
        .get()
        .types()
        .forEach((name, type) -> {
          if (name.endsWith(".kv_b_proj.weight") && !type.equals(AscendForms.FLOAT)) {
            out.fail(
                description.get().file() + ": " + name,
                type,
                AscendForms.FLOAT,
                "attention absorbs kv_b_proj as plain numbers: its codes are taken for values");
          }
        });
  }
}
