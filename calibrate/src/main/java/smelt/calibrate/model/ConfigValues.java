package smelt.calibrate.model;

import java.util.List;
import smelt.calibrate.math.RopeLayout;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.ModelConfig;

/// Values of a config that all architectures spell alike.
final class ConfigValues {

  private ConfigValues() {}

  /// `rms_norm_eps`.
  static double normEps(ModelConfig config) {
    return positive(config, "rms_norm_eps");
  }

  /// `rope_theta` and `rope_scaling`, or both in `rope_parameters`.
  ///
  /// @throws UnsupportedException for a kind of scaling that is not computed
  static Rope rope(ModelConfig config, int size, RopeLayout layout) {
    ModelConfig base =
        config.number("rope_theta").isPresent()
            ? config
            : config.section("rope_parameters").orElse(config);
    double theta = base.number("rope_theta").orElse(10_000);
    if (!(theta > 1)) {
      throw wrong("rope_theta " + theta, "a number above 1");
    }
    Rope.Scaling scaling =
        config
            .section("rope_scaling")
            .or(() -> config.section("rope_parameters"))
            .map(section -> scaling(config, section))
            .orElseGet(Rope.Scaling.None::new);
    return new Rope(size, theta, layout, scaling);
  }

  private static Rope.Scaling scaling(ModelConfig config, ModelConfig section) {
    String type = section.text("rope_type").or(() -> section.text("type")).orElse("default");
    return switch (type) {
      case "default" -> new Rope.Scaling.None();
      case "linear" -> new Rope.Scaling.Linear(positive(section, "factor"));
      case "yarn" -> yarn(config, section);
      case "llama3" -> llama3(config, section);
      default ->
          throw new UnsupportedException(
              ModelConfig.FILE + ": rope scaling " + type, "linear, yarn, llama3 and none are");
    };
  }

  private static Rope.Scaling yarn(ModelConfig config, ModelConfig section) {
    for (String key : List.of("attention_factor", "truncate")) {
      if (section.tree().hasNonNull(key)) {
        throw new UnsupportedException(
            ModelConfig.FILE + ": yarn with " + key, "yarn with mscale and mscale_all_dim is");
      }
    }
    return new Rope.Scaling.Yarn(
        positive(section, "factor"),
        originalContext(config, section),
        section.number("beta_fast").orElse(32),
        section.number("beta_slow").orElse(1),
        section.number("mscale").orElse(1),
        section.number("mscale_all_dim").orElse(0));
  }

  private static Rope.Scaling llama3(ModelConfig config, ModelConfig section) {
    double low = positive(section, "low_freq_factor");
    double high = positive(section, "high_freq_factor");
    if (high <= low) {
      throw wrong(
          "low_freq_factor " + low + ", high_freq_factor " + high,
          "a high_freq_factor above low_freq_factor");
    }
    return new Rope.Scaling.Llama3(
        positive(section, "factor"), low, high, originalContext(config, section));
  }

  private static double originalContext(ModelConfig config, ModelConfig section) {
    String key = "original_max_position_embeddings";
    return section.number(key).isPresent()
        ? positive(section, key)
        : positive(config, "max_position_embeddings");
  }

  private static double positive(ModelConfig config, String key) {
    double value = config.number(key).orElseThrow(() -> wrong("no " + key, "a positive number"));
    if (value > 0) {
      return value;
    }
    throw wrong(key + " " + value, "a positive number");
  }

  private static BadInputException wrong(String found, String expected) {
    return new BadInputException(
        ModelConfig.FILE,
        found,
        expected,
        "use the " + ModelConfig.FILE + " that was published with the weights");
  }
}
