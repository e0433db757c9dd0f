package smelt.verify;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import smelt.formats.BadInputException;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.ExpectedWeight;
import smelt.formats.checkpoint.ExpectedWeight.Presence;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.SourceTensor;

/// Rules on which weights there are: what the config implies, multi-token prediction, and what must
/// stay in high precision.
final class ModelRules {

  private static final Pattern NUMBER = Pattern.compile("\\d{1,6}");
  private static final String ROUTER_BIAS = "e_score_correction_bias";

  private ModelRules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.any(
            "weights-as-config",
            "headers, config",
            "the weights are exactly those that config.json implies, with their shapes",
            ModelRules::asConfig),
        Rule.any(
            "mtp-as-config",
            "headers, config",
            "num_nextn_predict_layers tells how many MTP layers are there, 0 when dropped",
            ModelRules::mtp),
        Rule.any(
            "high-precision-kept",
            "headers",
            "embedding, head, norms, router and MTP projection are not quantized",
            ModelRules::precise),
        Rule.any(
            "router-bias-f32",
            "headers",
            "e_score_correction_bias is F32",
            ModelRules::routerBias));
  }

  private static void asConfig(Facts facts, Findings out) {
    Optional<Map<String, ExpectedWeight>> expected = expected(facts, out);
    if (expected.isEmpty()) {
      return;
    }
    int layers = facts.config().value().orElseThrow().numHiddenLayers();
    boolean mtpDiffers = mtpLayersPresent(facts, layers).size() != mtpDeclared(facts);
    for (ExpectedWeight weight : expected.get().values()) {
      if (!(mtpDiffers && weight.role().layer().orElse(0) >= layers)) {
        compare(facts, weight, out);
      }
    }
    for (WeightModule module : facts.modules().values()) {
      if (!(mtpDiffers && layerOf(module.name()) >= layers)) {
        extra(module, expected.get(), out);
      }
    }
  }

  /// The weights that the config implies; empty, with the reason, when that cannot be told.
  private static Optional<Map<String, ExpectedWeight>> expected(Facts facts, Findings out) {
    Optional<ModelConfig> config = facts.config().value();
    if (config.isEmpty() || !facts.unreadable().isEmpty()) {
      out.skip(config.isEmpty() ? "there is no readable config.json" : Facts.INCOMPLETE);
      return Optional.empty();
    }
    Map<String, ExpectedWeight> expected = new TreeMap<>();
    try {
      Architecture.of(config.get())
          .weights(config.get(), weight -> expected.put(weight.name(), weight));
    } catch (UnsupportedException e) {
      out.skip(e.getMessage());
      return Optional.empty();
    } catch (BadInputException e) {
      e.problems()
          .forEach(problem ->
              out.fail(
                  problem.where(),
                  problem.found(),
                  problem.expected(),
                  "the runtime builds another model than the weights are for"));
      return Optional.empty();
    }
    return Optional.of(expected);
  }

  private static void compare(Facts facts, ExpectedWeight weight, Findings out) {
    SourceTensor found = facts.tensors().get(weight.name());
    SourceTensor packed = found == null ? packed(facts, weight.name()) : null;
    if (found == null && packed == null) {
      if (weight.presence() == Presence.REQUIRED) {
        out.fail(
            weight.name(),
            "no such tensor",
            weight.role().label() + " " + weight.shape(),
            "quantized loaders do not notice: the weight keeps whatever was in memory");
      }
      return;
    }
    Shape shape = found == null ? weight.shape() : found.shape();
    if (!shape.equals(weight.shape())) {
      out.fail(
          Facts.where(found),
          "shape " + shape,
          weight.shape() + ", as config.json implies",
          "loading stops on the shape");
    }
  }

  private static SourceTensor packed(Facts facts, String name) {
    return name.endsWith(".weight") ? facts.tensors().get(name + "_packed") : null;
  }

  private static void extra(
      WeightModule module, Map<String, ExpectedWeight> expected, Findings out) {
    boolean known = expected.containsKey(module.name() + ".weight");
    module
        .parts()
        .forEach((part, tensor) -> {
          boolean companion =
              WeightModule.COMPANIONS.contains(part) || part.equals("weight_packed");
          if (!expected.containsKey(tensor.name()) && !(known && companion)) {
            out.fail(
                Facts.where(tensor),
                tensor.type() + " " + tensor.shape(),
                "only tensors that config.json implies",
                "loaders stop at a name that they do not know, or skip it silently");
          }
        });
  }

  private static void mtp(Facts facts, Findings out) {
    Optional<ModelConfig> config = facts.config().value();
    if (config.isEmpty() || !facts.unreadable().isEmpty() || !hasMtp(config.get())) {
      out.skip("not a model with MTP layers that can be counted");
      return;
    }
    List<Integer> present = List.copyOf(mtpLayersPresent(facts, config.get().numHiddenLayers()));
    int declared = mtpDeclared(facts);
    if (present.size() != declared) {
      out.fail(
          "config.json: num_nextn_predict_layers",
          declared + ", with layers of MTP in the shards: " + present,
          "num_nextn_predict_layers = " + present.size(),
          declared > present.size()
              ? "speculative decoding runs on uninitialised weights: nothing is ever accepted"
              : "the MTP layers are loaded by nobody, and their names may stop the loader");
    }
  }

  private static boolean hasMtp(ModelConfig config) {
    return config.architectureName().filter(name -> name.startsWith("Deepseek")).isPresent()
        && config.tree().path("num_hidden_layers").isIntegralNumber();
  }

  private static int mtpDeclared(Facts facts) {
    return facts.config().value().orElseThrow().mtpLayers();
  }

  private static Set<Integer> mtpLayersPresent(Facts facts, int layers) {
    Set<Integer> present = new TreeSet<>();
    for (String name : facts.modules().keySet()) {
      int layer = layerOf(name);
      if (layer >= layers) {
        present.add(layer);
      }
    }
    return present;
  }

  /// The number after `model.layers.`; -1 for names outside the layers.
  private static int layerOf(String name) {
    String prefix = "model.layers.";
    if (!name.startsWith(prefix)) {
      return -1;
    }
    int end = name.indexOf('.', prefix.length());
    String number = name.substring(prefix.length(), end < 0 ? name.length() : end);
    return NUMBER.matcher(number).matches() ? Integer.parseInt(number) : -1;
  }

  private static void precise(Facts facts, Findings out) {
    for (WeightModule module : facts.modules().values()) {
      List<SourceTensor> parts = new ArrayList<>();
      if (LinearNames.isPrecise(module)) {
        module.weight().ifPresent(parts::add);
      }
      module.part("bias").ifPresent(parts::add);
      for (SourceTensor part : parts) {
        if (!WeightForm.NUMBERS.contains(part.type())) {
          out.fail(
              Facts.where(part),
              part.type().toString(),
              "BF16, F16 or F32",
              "every loader creates this in high precision and casts the codes unscaled");
        }
      }
    }
  }

  private static void routerBias(Facts facts, Findings out) {
    for (WeightModule module : facts.modules().values()) {
      Optional<SourceTensor> bias = module.part(ROUTER_BIAS);
      if (bias.isPresent() && bias.get().type() != ElementType.F32) {
        boolean rounded = WeightForm.NUMBERS.contains(bias.get().type());
        out.add(
            rounded && !facts.ours() ? Severity.WARN : Severity.FAIL,
            ServingRuntime.all(),
            Facts.where(bias.get()),
            bias.get().type().toString(),
            "F32",
            "rounded biases change which experts are chosen where scores are close");
      }
    }
  }
}
