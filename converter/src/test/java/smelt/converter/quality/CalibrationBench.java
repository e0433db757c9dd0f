package smelt.converter.quality;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import smelt.calibrate.smooth.OutlierModel;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `./dev bench calibration [TOKENS [CALIBRATION]]`: what calibration brings, on the trained sample
/// and on the same model with outlier channels. Converts both with every recipe, verifies on TOKENS
/// of the held-out text and prints the table, in Markdown. Calibration sees CALIBRATION tokens of
/// another text, of which no document is in the held-out one.
///
/// Both models compute the same logits, so their rows are comparable: what a recipe loses more on
/// the second is what outliers cost it.
public final class CalibrationBench {

  private static final String TOKENS = "8192";
  private static final String CALIBRATION = "16384";
  private static final String ABSMAX = "{target: kt-amx-int4, rule: upstream}";

  /// A line of the table.
  ///
  /// @param target as a recipe gives it
  /// @param calibrated whether it chooses by a calibration table
  private record Case(String label, String target, boolean calibrated) {}

  private static final List<Case> CASES =
      List.of(
          new Case("W8A8, naive", "int8-channel", false),
          new Case("W8A8, smoothed", "{target: int8-channel, smooth: usual}", true),
          new Case(
              "the same without the feed-forward norm",
              "{target: int8-channel,"
                  + " smooth: [input-norm, query-norm, latent-norm, value-output, up-down]}",
              true),
          new Case("W8A8, dynamic, Ascend", "ascend-w8a8", false),
          new Case(
              "W8A8, attention static, Ascend", "{target: ascend-w8a8, activations: static}", true),
          new Case("INT4 experts, absmax", ABSMAX, false),
          new Case("INT4 experts, exact scale", "kt-amx-int4", false),
          new Case("INT4 experts, weighted", "{target: kt-amx-int4, solver: weighted}", true),
          new Case("INT4 experts, GPTQ pooled", "{target: kt-amx-int4, solver: gptq-pool}", true),
          new Case("INT4 experts, GPTQ shrunk", "{target: kt-amx-int4, solver: gptq}", true),
          new Case(
              "the same, rows fitted to the output",
              "{target: kt-amx-int4, solver: gptq-rescale}",
              true));

  private final Path folder;
  private final String tokens;
  private final String calibration;

  private CalibrationBench(Path folder, String tokens, String calibration) {
    this.folder = folder;
    this.tokens = tokens;
    this.calibration = calibration;
  }

  /// @param args tokens to verify on, by default 8,192, and to calibrate with, by default 16,384
  public static void main(String[] args) throws IOException {
    Path folder = Files.createTempDirectory("smelt-calibration-");
    try {
      String tokens = args.length > 0 ? args[0] : TOKENS;
      String calibration = args.length > 1 ? args[1] : CALIBRATION;
      new CalibrationBench(folder, tokens, calibration).table(System.out);
    } finally {
      QualityBench.remove(folder);
    }
  }

  private void table(PrintStream out) throws IOException {
    Path sample = SampleModel.path(SampleModel.BF16);
    Path outliers = OutlierModel.write(sample, folder.resolve("outliers"));
    out.println(
        "| model | recipe | mean KL | 95 % limit | experts forced | PPL | PPL ratio | same top |");
    out.println("|---|---|---:|---:|---:|---:|---:|---:|");
    for (Case one : CASES) {
      out.println(row("sample", one, sample));
      out.println(row("outliers", one, outliers));
    }
  }

  private String row(String model, Case one, Path source) throws IOException {
    Path made = folder.resolve("made");
    convert(source, one, made);
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

  private void convert(Path from, Case one, Path made) throws IOException {
    Path recipe =
        Files.writeString(
            folder.resolve("recipe.yaml"), "name: bench\ntargets: [" + one.target() + "]\n");
    List<String> arguments = new ArrayList<>(List.of("convert", from.toString()));
    arguments.addAll(List.of("-o", made.toString(), "--recipe", recipe.toString()));
    if (one.calibrated()) {
      arguments.addAll(List.of("--calibration", calibration(from).toString()));
    }
    run(0, arguments.toArray(String[]::new));
  }

  /// The model's calibration table, made when the first recipe needs it.
  private Path calibration(Path source) {
    Path table = folder.resolve(source.getFileName() + ".calibration");
    if (!Files.exists(table)) {
      String text = CalibrationText.FILE.toString();
      run(
          0,
          "calibrate",
          source.toString(),
          "--corpus",
          text,
          "--tokens",
          calibration,
          "--hessians",
          "all",
          "-o",
          table.toString());
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
        "| %s | %s | %.3e | %s | %.3e | %.3f | %.5f | %.2f %% |",
        model,
        label,
        kl.path("value").asDouble(),
        kl.path("limit").isNumber()
            ? String.format(Locale.ROOT, "%.3e", kl.path("limit").asDouble())
            : "",
        report.path("summary").path("kl_forced").path("mean").asDouble(),
        report.path("summary").path("ppl_result").asDouble(),
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
