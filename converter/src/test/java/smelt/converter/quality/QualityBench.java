package smelt.converter.quality;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;
import smelt.converter.SampleModel;
import smelt.converter.run.Converting;
import smelt.converter.target.Target;
import smelt.verify.quality.Gate;
import smelt.verify.quality.Metric;
import smelt.verify.quality.Profile;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.Summary;

/// `./dev bench quality [TOKENS]`: converts both sample models to every target, verifies each with
/// the profile of what it holds, and prints the table, in Markdown.
public final class QualityBench {

  private static final long TOKENS = 16_384;
  private static final int LENGTH = 512;

  private QualityBench() {}

  /// @param args the number of tokens, by default 16,384
  public static void main(String[] args) throws IOException, InterruptedException {
    long tokens = args.length > 0 ? Long.parseLong(args[0]) : TOKENS;
    Path folder = Files.createTempDirectory("smelt-quality-");
    try {
      table(System.out, folder, Verifying.on(LENGTH, tokens));
    } finally {
      remove(folder);
    }
  }

  private static void table(PrintStream out, Path folder, Verifying verifying)
      throws IOException, InterruptedException {
    out.println(
        "| source | target | activations | mean KL free | experts forced | 99.9 % KL | same top |"
            + " PPL ratio | min weight SQNR | min layer SQNR | routed mass | profile | verdict |");
    out.println("|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|---|");
    for (String sample : List.of(SampleModel.FP8, SampleModel.BF16)) {
      Path model = SampleModel.path(sample);
      for (Target target : Target.checkpoints()) {
        Path made = folder.resolve(sample + "-" + target.label());
        Converting.to(target).run(model, made);
        out.println(row(sample, target.label(), verifying.run(made, model)));
        if (target == Target.INT8_CHANNEL) {
          out.println(row(sample, target.label(), verifying.withoutRounding().run(made, model)));
        }
      }
    }
    Path original = SampleModel.path(SampleModel.BF16);
    out.println(
        row(
            SampleModel.BF16,
            SampleModel.FP8,
            verifying.as(Profile.FP8).run(SampleModel.path(SampleModel.FP8), original)));
  }

  static String row(String source, String target, QualityReport report) {
    Summary summary = report.summary().orElseThrow();
    return String.format(
        Locale.ROOT,
        "| %s | %s | %s | %.3e | %.3e | %.3e | %.2f %% | %.5f | %s | %s | %s | %s | %s |",
        source,
        target,
        report.subject().activations(),
        summary.kl().mean(),
        summary.forcedKl().mean(),
        summary.kl().percentiles().get(99.9),
        100 * summary.sameTop(),
        Math.exp(summary.logPplRatio().mean()),
        value(report, Metric.WEIGHT_SQNR),
        value(report, Metric.LAYER_SQNR),
        value(report, Metric.ROUTED_MASS),
        report.verdict().profile(),
        verdict(report));
  }

  private static String value(QualityReport report, Metric metric) {
    return gate(report, metric)
        .map(gate ->
            Double.isInfinite(gate.value())
                ? "exact"
                : String.format(
                    Locale.ROOT, metric == Metric.ROUTED_MASS ? "%.4f" : "%.1f", gate.value()))
        .orElse("");
  }

  private static Optional<Gate> gate(QualityReport report, Metric metric) {
    return report.verdict().gates().stream().filter(g -> g.metric() == metric).findFirst();
  }

  private static String verdict(QualityReport report) {
    if (report.verdict().passed()) {
      return "pass";
    }
    List<String> broken =
        report.verdict().gates().stream()
            .filter(gate -> gate.outcome() != Gate.Outcome.PASS)
            .map(gate ->
                gate.metric().title()
                    + (gate.outcome() == Gate.Outcome.FAIL ? " fails" : " undecided"))
            .toList();
    return String.join(", ", broken);
  }

  static void remove(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
