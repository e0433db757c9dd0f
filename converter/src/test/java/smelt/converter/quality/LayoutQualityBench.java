package smelt.converter.quality;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `./dev bench layouts-quality [TOKENS]`: what experts lose in each layout for CPUs. First experts
/// of DeepSeek-V3's width with made-up weights, then the trained sample, converted and verified by
/// the program. Prints two tables in Markdown.
public final class LayoutQualityBench {

  private static final String TOKENS = "8192";

  /// A line of the table.
  ///
  /// @param target as a recipe gives it
  private record Case(String label, String target) {}

  private static final List<Case> CASES =
      List.of(
          new Case("`kt-amx-int8`", "kt-amx-int8"),
          new Case("`kt-amx-int4`, `rule: upstream`", "{target: kt-amx-int4, rule: upstream}"),
          new Case("`kt-amx-int4`", "kt-amx-int4"),
          new Case("`rawint4`", "rawint4"),
          new Case("`ct-w4a16`", "ct-w4a16"));

  private LayoutQualityBench() {}

  /// @param args the number of tokens, by default 8,192
  public static void main(String[] args) throws IOException {
    String tokens = args.length > 0 ? args[0] : TOKENS;
    MadeUpExperts.table(System.out);
    System.out.println();
    Path folder = Files.createTempDirectory("smelt-layouts-");
    try {
      table(System.out, folder, tokens);
    } finally {
      QualityBench.remove(folder);
    }
  }

  private static void table(PrintStream out, Path folder, String tokens) throws IOException {
    out.println(
        "| target | mean KL free | 95 % limit | experts forced | same top | PPL ratio |"
            + " min weight SQNR | min layer SQNR | verdict |");
    out.println("|---|---:|---:|---:|---:|---:|---:|---:|---|");
    Path model = SampleModel.path(SampleModel.FP8);
    for (Case one : CASES) {
      Path recipe =
          Files.writeString(
              folder.resolve("recipe.yaml"), "name: bench\ntargets: [" + one.target() + "]\n");
      Path made = folder.resolve(one.target().replaceAll("[^a-z0-9]+", "-"));
      run(0, "convert", model.toString(), "--recipe", recipe.toString(), "-o", made.toString());
      Path report = folder.resolve("report.json");
      run(
          1,
          "verify",
          made.toString(),
          "--against",
          model.toString(),
          "--tokens",
          tokens,
          "--report",
          "json=" + report);
      out.println(row(one.label(), JsonMapper.shared().readTree(report.toFile())));
    }
  }

  private static void run(int most, String... args) {
    Program.Result result = Program.run(args);
    if (result.exit() > most) {
      throw new IllegalStateException(String.join(" ", args) + "\n" + result.err());
    }
  }

  private static String row(String label, JsonNode report) {
    JsonNode summary = report.get("summary");
    return String.format(
        Locale.ROOT,
        "| %s | %.3e | %s | %.3e | %.2f %% | %.5f | %s | %s | %s |",
        label,
        gate(report, "mean_kl").path("value").asDouble(),
        number("%.3e", gate(report, "mean_kl").path("limit")),
        summary.path("kl_forced").path("mean").asDouble(),
        100 * gate(report, "same_top").path("value").asDouble(),
        gate(report, "ppl_ratio").path("value").asDouble(),
        number("%.1f", gate(report, "weight_sqnr").path("value")),
        number("%.1f", gate(report, "layer_sqnr").path("value")),
        report.path("verdict").path("why").asString());
  }

  private static JsonNode gate(JsonNode report, String metric) {
    for (JsonNode gate : report.get("gates")) {
      if (gate.get("metric").asString().equals(metric)) {
        return gate;
      }
    }
    return JsonMapper.shared().createObjectNode();
  }

  private static String number(String format, JsonNode value) {
    return value.isNumber() ? String.format(Locale.ROOT, format, value.asDouble()) : "";
  }
}
