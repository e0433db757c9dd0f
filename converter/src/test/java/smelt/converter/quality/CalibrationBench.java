package smelt.converter.quality;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import smelt.calibrate.smooth.OutlierModel;
import smelt.calibrate.smooth.Pair;
import smelt.calibrate.smooth.SmoothedModel;
import smelt.calibrate.smooth.Strength;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `./dev bench calibration [TOKENS]`: what calibration brings, on the trained sample and on the
/// same model with outlier channels. Converts both with every recipe, verifies on the held-out text
/// and prints the table, in Markdown. Calibration sees other text.
///
/// Both models compute the same logits, so their rows are comparable: what a recipe loses more on
/// the second is what outliers cost it.
public final class CalibrationBench {

  private static final String TOKENS = "8192";
  private static final String ABSMAX = "{target: kt-amx-int4, rule: upstream}";

  /// What is done to a model before it is converted.
  private enum Before {
    NOTHING,
    /// The pairs that are smoothed when nothing is said, with powers of two.
    SMOOTHED,
    /// The same with any factors.
    SMOOTHED_FINELY,
    /// All pairs, with powers of two.
    SMOOTHED_EVERYWHERE,
    /// A calibration table is made.
    CALIBRATED
  }

  /// A line of the table.
  ///
  /// @param target as a recipe gives it
  private record Case(String label, String target, Before before) {}

  private static final List<Case> CASES =
      List.of(
          new Case("W8A8, naive", "int8-channel", Before.NOTHING),
          new Case("W8A8, smoothed beforehand", "int8-channel", Before.SMOOTHED),
          new Case("the same, any factors", "int8-channel", Before.SMOOTHED_FINELY),
          new Case("the same, feed-forward norm too", "int8-channel", Before.SMOOTHED_EVERYWHERE),
          new Case("INT4 experts, absmax", ABSMAX, Before.NOTHING),
          new Case("INT4 experts, exact scale", "kt-amx-int4", Before.NOTHING));

  private final Path folder;
  private final String tokens;

  private CalibrationBench(Path folder, String tokens) {
    this.folder = folder;
    this.tokens = tokens;
  }

  /// @param args the number of tokens, by default 8,192
  public static void main(String[] args) throws IOException {
    Path folder = Files.createTempDirectory("smelt-calibration-");
    try {
      new CalibrationBench(folder, args.length > 0 ? args[0] : TOKENS).table(System.out);
    } finally {
      QualityBench.remove(folder);
    }
  }

  private void table(PrintStream out) throws IOException {
    Path sample = SampleModel.path(SampleModel.BF16);
    Path outliers = OutlierModel.write(sample, folder.resolve("outliers"));
    out.println(
        "| model | recipe | mean KL | 95 % limit | experts forced | PPL ratio | same top |");
    out.println("|---|---|---:|---:|---:|---:|---:|");
    for (Case one : CASES) {
      out.println(row("sample", one, sample));
      out.println(row("outliers", one, outliers));
    }
  }

  private String row(String model, Case one, Path source) throws IOException {
    Path from = prepared(model, one.before(), source);
    Path made = folder.resolve("made");
    convert(from, one, made);
    Path report = folder.resolve("report.json");
    run(
        1,
        "verify",
        made.toString(),
        "--against",
        source.toString(),
        "--tokens",
        tokens,
        "--no-early-stop",
        "--report",
        "json=" + report);
    QualityBench.remove(made);
    return row(model, one.label(), JsonMapper.shared().readTree(report.toFile()));
  }

  /// A model that computes what `source` does.
  private Path prepared(String model, Before before, Path source) throws IOException {
    Set<Pair.Kind> all = EnumSet.allOf(Pair.Kind.class);
    return switch (before) {
      case NOTHING, CALIBRATED -> source;
      case SMOOTHED -> smoothed(model + "-smoothed", source, Pair.Kind.usual(), true);
      case SMOOTHED_FINELY -> smoothed(model + "-finely", source, Pair.Kind.usual(), false);
      case SMOOTHED_EVERYWHERE -> smoothed(model + "-everywhere", source, all, true);
    };
  }

  private Path smoothed(String name, Path source, Set<Pair.Kind> kinds, boolean exact)
      throws IOException {
    return SmoothedModel.write(
        source,
        CalibrationText.sequences(source),
        new SmoothedModel.Wanted(kinds, new Strength.Searched(), exact),
        folder.resolve(name));
  }

  private void convert(Path from, Case one, Path made) throws IOException {
    Path recipe =
        Files.writeString(
            folder.resolve("recipe.yaml"), "name: bench\ntargets: [" + one.target() + "]\n");
    List<String> arguments = new ArrayList<>(List.of("convert", from.toString()));
    arguments.addAll(List.of("-o", made.toString(), "--recipe", recipe.toString()));
    if (one.before() == Before.CALIBRATED) {
      arguments.addAll(List.of("--calibration", calibration(from).toString()));
    }
    run(0, arguments.toArray(String[]::new));
  }

  /// The model's calibration table, made when the first recipe needs it.
  private Path calibration(Path source) {
    Path table = folder.resolve(source.getFileName() + ".calibration");
    if (!Files.exists(table)) {
      String text = CalibrationText.FILE.toString();
      run(0, "calibrate", source.toString(), "--corpus", text, "-o", table.toString());
    }
    return table;
  }

  private static void run(int most, String... args) {
    Program.Result result = Program.run(args);
    if (result.exit() > most) {
      throw new IllegalStateException(String.join(" ", args) + "\n" + result.err());
    }
  }

  private static String row(String model, String label, JsonNode report) {
    JsonNode kl = gate(report, "mean_kl").orElseThrow();
    return String.format(
        Locale.ROOT,
        "| %s | %s | %.3e | %s | %.3e | %.5f | %.2f %% |",
        model,
        label,
        kl.path("value").asDouble(),
        kl.path("limit").isNumber()
            ? String.format(Locale.ROOT, "%.3e", kl.path("limit").asDouble())
            : "",
        report.path("summary").path("kl_forced").path("mean").asDouble(),
        gate(report, "ppl_ratio").orElseThrow().path("value").asDouble(),
        100 * gate(report, "same_top").orElseThrow().path("value").asDouble());
  }

  private static Optional<JsonNode> gate(JsonNode report, String metric) {
    return report
        .get("gates")
        .valueStream()
        .filter(gate -> gate.get("metric").asString().equals(metric))
        .findFirst();
  }
}
