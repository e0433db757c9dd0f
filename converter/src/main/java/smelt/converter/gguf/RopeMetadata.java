package smelt.converter.gguf;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.gguf.GgufValue;

/// What the rotation of grouped-query attention is in llama.cpp's words.
final class RopeMetadata {

  private RopeMetadata() {}

  /// @param sink takes keys without the architecture's name
  static void put(ModelConfig config, java.util.function.BiConsumer<String, GgufValue> sink) {
    ModelConfig base =
        config.number("rope_theta").isPresent()
            ? config
            : config.section("rope_parameters").orElse(config);
    sink.accept(
        "rope.freq_base", new GgufValue.F32((float) base.number("rope_theta").orElse(10_000)));
    Optional<ModelConfig> scaling = scaling(config);
    if (scaling.isEmpty()) {
      return;
    }
    ModelConfig section = scaling.get();
    switch (type(section)) {
      case "default", "llama3" -> {}
      case "linear", "yarn" -> {
        sink.accept("rope.scaling.type", new GgufValue.Text(type(section)));
        sink.accept("rope.scaling.factor", new GgufValue.F32((float) required(section, "factor")));
        if (type(section).equals("yarn")) {
          plainYarn(section);
          int context =
              section
                  .optionalInt("original_max_position_embeddings", 1, Integer.MAX_VALUE)
                  .orElseGet(
                      () -> config.requireInt("max_position_embeddings", 1, Integer.MAX_VALUE));
          sink.accept("rope.scaling.original_context_length", new GgufValue.U32(context));
        }
      }
      default ->
          throw new UnsupportedException(
              ModelConfig.FILE + ": rope scaling " + type(section),
              "linear, yarn, llama3 and none can be written");
    }
  }

  /// What the engine divides the angles of each pair by, for `llama3`; none otherwise. Pairs that
  /// turn more than `high_freq_factor` times within the first context stay, those below
  /// `low_freq_factor` are slower by `factor`, smoothly between.
  static List<Float> llama3Divisors(ModelConfig config) {
    Optional<ModelConfig> scaling = scaling(config).filter(s -> type(s).equals("llama3"));
    if (scaling.isEmpty()) {
      return List.of();
    }
    ModelConfig section = scaling.get();
    double factor = required(section, "factor");
    double low = section.number("low_freq_factor").orElse(1);
    double high = section.number("high_freq_factor").orElse(4);
    double context = required(section, "original_max_position_embeddings");
    ModelConfig base = config.number("rope_theta").isPresent() ? config : section;
    double theta = base.number("rope_theta").orElse(10_000);
    int size = config.headDim();
    List<Float> divisors = new ArrayList<>();
    for (int pair = 0; pair < size / 2; pair++) {
      double turns = context * Math.pow(theta, -2.0 * pair / size) / (2 * Math.PI);
      double kept = Math.clamp((turns - low) / (high - low), 0, 1);
      divisors.add((float) (1 / ((1 - kept) / factor + kept)));
    }
    return divisors;
  }

  private static void plainYarn(ModelConfig section) {
    for (String key : List.of("mscale", "mscale_all_dim", "attention_factor", "beta_fast")) {
      if (section.number(key).isPresent()) {
        throw new UnsupportedException(
            ModelConfig.FILE + ": rope scaling yarn with " + key,
            "yarn with its usual corrections can be written");
      }
    }
  }

  private static Optional<ModelConfig> scaling(ModelConfig config) {
    return config.section("rope_scaling").or(() -> config.section("rope_parameters"));
  }

  private static String type(ModelConfig section) {
    return section.text("rope_type").or(() -> section.text("type")).orElse("default");
  }

  private static double required(ModelConfig section, String key) {
    return section
        .number(key)
        .orElseThrow(() ->
            new BadInputException(
                ModelConfig.FILE + ": rope scaling",
                "no " + key,
                "a number",
                "use the " + ModelConfig.FILE + " that was published with the weights"));
  }
}
