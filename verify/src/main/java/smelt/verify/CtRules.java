package smelt.verify;

import java.util.List;
import java.util.Optional;
import smelt.verify.CtArgs.Dynamic;
import smelt.verify.CtArgs.Strategy;

/// Rules on compressed-tensors configs: the published schema, and what vLLM has kernels for.
final class CtRules {

  private static final String AT = "config.json: quantization_config.";
  private static final String NOT_CT = "not compressed-tensors";

  private CtRules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.any(
            "ct-schema",
            "config",
            "a compressed-tensors config keeps the published schema",
            CtRules::schema),
        Rule.any(
            "ct-scheme-served",
            "config",
            "each group is a pair of weight and activation encodings that loaders have kernels for",
            CtRules::served));
  }

  private static void schema(Facts facts, Findings out) {
    if (!(facts.quantization() instanceof Quantization.CompressedTensors(CtConfig config))) {
      out.skip(NOT_CT);
      return;
    }
    for (CtConfig.Violation violation : config.violations()) {
      out.add(
          violation.severity(),
          ServingRuntime.all(),
          AT + violation.where(),
          violation.found(),
          violation.expected(),
          violation.severity() == Severity.FAIL
              ? "the loader's schema refuses the config: the model does not start"
              : "the loader drops the key silently, and with it what it was to say");
    }
  }

  private static void served(Facts facts, Findings out) {
    if (!(facts.quantization() instanceof Quantization.CompressedTensors(CtConfig config))) {
      out.skip(NOT_CT);
      return;
    }
    for (CtConfig.Group group : config.groups()) {
      if (group.weights().isPresent() && !hasKernel(config, group, group.weights().get())) {
        out.add(
            Severity.FAIL,
            ServingRuntime.all(),
            AT + "config_groups." + group.name(),
            describe(group),
            "FP8 tensor, channel or block with dynamic token (block: group 128) or static tensor"
                + " activations; INT8 channel with dynamic token; packed INT4 or INT8 without"
                + " activations; FP4 in groups",
            "no scheme fits the group: the runtime stops at start");
      }
    }
  }

  private static boolean hasKernel(CtConfig config, CtConfig.Group group, CtArgs weights) {
    Optional<CtArgs> input = group.input();
    if (weights.isFp8()) {
      return input.isEmpty() || input.filter(args -> fp8Input(weights, args)).isPresent();
    }
    if (weights.isPackedInt() && input.isEmpty()) {
      return CtForms.isPacked(config, group);
    }
    if (weights.isInt8Channel()) {
      return input.filter(CtRules::tokenInt8).isPresent();
    }
    return weights.isFp4() || (weights.isPackedInt() && weights.bits() == 4);
  }

  private static boolean fp8Input(CtArgs weights, CtArgs input) {
    if (input.integer() || input.bits() != 8) {
      return false;
    }
    boolean token = input.strategy() == Strategy.TOKEN && input.dynamic() == Dynamic.DYNAMIC;
    boolean tensor = input.strategy() == Strategy.TENSOR;
    boolean group =
        input.strategy() == Strategy.GROUP
            && input.groupSize().orElse(0) == 128
            && input.dynamic() == Dynamic.DYNAMIC;
    return switch (weights.strategy()) {
      case BLOCK -> group || token;
      case TENSOR, CHANNEL -> token || tensor;
      case GROUP, TOKEN, TENSOR_GROUP, ATTN_HEAD -> false;
    };
  }

  private static boolean tokenInt8(CtArgs input) {
    return input.integer()
        && input.bits() == 8
        && input.symmetric()
        && input.strategy() == Strategy.TOKEN
        && input.dynamic() == Dynamic.DYNAMIC;
  }

  private static String describe(CtConfig.Group group) {
    return "weights "
        + describe(group.weights().orElseThrow())
        + ", activations "
        + group.input().map(CtRules::describe).orElse("none");
  }

  private static String describe(CtArgs args) {
    return (args.integer() ? "int" : "float")
        + args.bits()
        + " "
        + args.strategy().name().toLowerCase(java.util.Locale.ROOT)
        + (args.dynamic() == Dynamic.STATIC ? " static" : " dynamic");
  }
}
