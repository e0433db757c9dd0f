package smelt.verify;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import smelt.formats.checkpoint.SourceTensor;
import smelt.verify.WeightForm.Coded;

/// Rules on what the config says of the encoding, against what is stored.
final class ConfigRules {

  private ConfigRules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.any(
            "quantization-declared",
            "config, headers",
            "quantized weights are declared, and a declaration has quantized weights",
            ConfigRules::declared),
        Rule.any(
            "quantization-as-stored",
            "config, headers",
            "weights are stored in the type that the declared method means",
            ConfigRules::asStored),
        Rule.any(
            "method-served",
            "config",
            "the runtime has a loader for the declared method",
            ConfigRules::served),
        Rule.any(
            "side-files",
            "file names",
            "tokenizer, chat template and generation_config.json are there",
            ConfigRules::sideFiles));
  }

  private static void declared(Facts facts, Findings out) {
    List<WeightModule> coded = facts.quantized();
    switch (facts.quantization()) {
      case Quantization.Malformed(String why) ->
          out.fail(
              "config.json: quantization_config",
              why,
              "what its quant_method documents",
              "loading stops, or the weights are taken for BF16");
      case Quantization.None _ -> {
        if (!coded.isEmpty()) {
          out.fail(
              "config.json",
              "no quantization_config beside "
                  + coded.size()
                  + " weights in codes, such as "
                  + coded.getFirst().weight().map(SourceTensor::type).orElseThrow()
                  + " "
                  + coded.getFirst().name(),
              "a quantization_config that tells how they are encoded",
              "vLLM would cast the codes to BF16 unscaled and print '!!!!'");
        }
      }
      case Quantization.Fp8Block _,
          Quantization.Fp8Tensor _,
          Quantization.Int8Block _,
          Quantization.Int8Channel _,
          Quantization.CompressedTensors _,
          Quantization.Ascend _,
          Quantization.Other _ -> {
        if (coded.isEmpty() && !facts.tensors().isEmpty() && facts.unreadable().isEmpty()) {
          out.fail(
              facts.quantization() instanceof Quantization.Ascend(Description description)
                  ? description.file()
                  : "config.json: quantization_config",
              facts.quantization().label() + " declared, but no weight is stored in codes",
              "no quantization_config for plain weights",
              "the loader expects codes and scales: it stops, or casts BF16 to codes without scales");
        }
      }
    }
  }

  private static void asStored(Facts facts, Findings out) {
    if (facts.quantization() instanceof Quantization.Other(String method)) {
      out.skip("the rules do not know the method " + method);
      return;
    }
    for (WeightModule module : facts.quantized()) {
      if (WeightForm.declared(facts.quantization(), module) instanceof Coded coded
          && !CompanionRules.codesFit(coded, module)) {
        out.fail(
            Facts.where(module),
            module.weight().orElseThrow().type().toString(),
            coded.codes() + " in " + coded.part() + ", as " + facts.quantization().label(),
            "the codes are read as another type: every product is wrong");
      }
    }
  }

  private static void served(Facts facts, Findings out) {
    boolean experts =
        facts.modules().keySet().stream().anyMatch(name -> LinearNames.expert(name).isPresent());
    Set<ServingRuntime> served = facts.quantization().servedBy(experts);
    Set<ServingRuntime> refusing = EnumSet.complementOf(EnumSet.copyOf(withAny(served)));
    if (served.isEmpty()) {
      refusing = ServingRuntime.all();
    }
    if (!refusing.isEmpty()) {
      out.add(
          Severity.FAIL,
          refusing,
          "config.json: quantization_config",
          facts.quantization().label(),
          served.isEmpty()
              ? "a method that one of the runtimes serves"
              : "a runtime that serves it: " + ServingRuntime.labels(served),
          "the runtime stops at start: it has no loader for this method"
              + (experts ? " with routed experts" : ""));
    }
  }

  private static Set<ServingRuntime> withAny(Set<ServingRuntime> served) {
    return served.isEmpty() ? ServingRuntime.all() : served;
  }

  private static void sideFiles(Facts facts, Findings out) {
    List<String> names = facts.source().names();
    if (!names.contains("generation_config.json")) {
      out.warn(
          facts.source().location(),
          "no generation_config.json",
          "the published one",
          "runtimes sample with their own defaults and may not stop at the end token");
    }
    boolean tokenizer =
        names.stream()
            .anyMatch(name ->
                Set.of("tokenizer.json", "tokenizer.model", "tiktoken.model", "vocab.json")
                    .contains(name));
    if (!tokenizer || !names.contains("tokenizer_config.json")) {
      out.warn(
          facts.source().location(),
          tokenizer ? "no tokenizer_config.json" : "no tokenizer.json or tokenizer.model",
          "the published tokenizer",
          "runtimes do not start without --tokenizer, or split text otherwise than in training");
    }
  }
}
