package smelt.converter.quality;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.smooth.OutlierModel;
import smelt.calibrate.smooth.Pair;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.formats.Share;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import smelt.verify.inference.Verification;
import smelt.verify.inference.VerifyPlan;
import smelt.verify.quality.Gate;
import smelt.verify.quality.Looks;
import smelt.verify.quality.Metric;
import smelt.verify.quality.Profile;
import smelt.verify.quality.QualityReport;

/// The weights of a smoothed result are held to the bound of rounding alone, so that a fault breaks
/// it and is named: the sample with outlier channels, whose factors reach far.
class SmoothedFaultsTest {

  private static final String LAYER = "model.layers.2.";

  @TempDir static Path shared;
  @TempDir Path folder;

  private static Path model;

  @BeforeAll
  static void convert() throws IOException {
    model = OutlierModel.write(SampleModel.path(SampleModel.BF16), shared.resolve("model"));
    String table = shared.resolve("table").toString();
    run(
        "calibrate",
        "--corpus",
        CalibrationText.FILE.toString(),
        "--tokens",
        Share.of("512", "1024"),
        "-o",
        table);
    String out = shared.resolve("int8").toString();
    run("convert", "--recipe", "int8-smooth", "--calibration", table, "-o", out);
  }

  private static void run(String command, String... options) {
    String[] args = new String[2 + options.length];
    args[0] = command;
    args[1] = model.toString();
    System.arraycopy(options, 0, args, 2, options.length);
    Program.Result result = Program.run(args);
    assertThat(result.exit()).as(result.err()).isZero();
  }

  private Fault fault() throws IOException {
    return Fault.inCopyOf(shared.resolve("int8"), folder.resolve("faulty"));
  }

  /// Weights alone.
  private static QualityReport verify(Path made, Set<Pair.Kind> smoothed) throws IOException {
    Kernels codec = KernelSet.choose("auto");
    try (Compute compute = Compute.steady(MathKernelSet.choose("auto"), codec, 2);
        ModelSource from = ModelSources.open(model);
        ModelSource to = ModelSources.open(made)) {
      Verification.Model source = new Verification.Model(from, Checkpoint.open(from));
      Verification.Model result = new Verification.Model(to, Checkpoint.open(to), smoothed);
      VerifyPlan plan =
          VerifyPlan.of(
              new VerifyPlan.Work(
                  source.checkpoint(),
                  result.checkpoint(),
                  List.of(),
                  compute,
                  0,
                  Looks.atTheEnd(0),
                  smoothed),
              OptionalLong.empty());
      Verification.Request request =
          new Verification.Request(
              List.of(),
              List.of(),
              true,
              Optional.of(Profile.W8A8),
              Profile::bounds,
              OptionalInt.empty(),
              false);
      Verification.Tools tools = new Verification.Tools(codec, compute);
      return new Verification(source, result, request, plan, tools, () -> {})
          .run(new Verification.About(List.of(), "test", "smelt verify"));
    }
  }

  private static Gate weights(QualityReport report) {
    return report.verdict().gates().stream()
        .filter(gate -> gate.metric() == Metric.WEIGHT_SQNR)
        .findFirst()
        .orElseThrow();
  }

  /// The named weights are the worst of all, and the bound breaks at the worst.
  private static void assertFails(Fault fault, String name, int count) throws IOException {
    QualityReport report = verify(fault.model(), Pair.Kind.usual());
    List<String> worst = report.verdict().worstTensors();
    System.out.printf("%s: worst %s%n", weights(report).detail(), worst.subList(0, 3));
    assertThat(weights(report).outcome()).isEqualTo(Gate.Outcome.FAIL);
    assertThat(weights(report).detail()).contains(worst.getFirst());
    assertThat(worst.subList(0, count)).allMatch(tensor -> tensor.matches(name));
  }

  @Test
  void withoutAFaultEveryWeightIsWithinItsBound() throws IOException {
    QualityReport report = verify(shared.resolve("int8"), Pair.Kind.usual());
    System.out.printf("least SQNR %s%n", weights(report));
    assertThat(report.verdict().passed()).isTrue();
    assertThat(report.tensors())
        .filteredOn(score -> score.tensor().contains("norm"))
        .allMatch(score -> score.bitExact());
    assertThat(weights(verify(shared.resolve("int8"), Set.of())).outcome())
        .isEqualTo(Gate.Outcome.FAIL);
  }

  @Test
  void namesAScaleOfRowsThatIsTwiceAsLarge() throws IOException {
    assertFails(
        fault().scale(LAYER + "mlp.experts.3.gate_proj.weight", 2),
        "model.layers.2.mlp.experts.3.gate_proj.weight",
        1);
  }

  @Test
  void namesTheReaderOfRowsThatTellWrongFactors() throws IOException {
    assertFails(
        fault().scale(LAYER + "mlp.experts.3.up_proj.weight", 2),
        "model.layers.2.mlp.experts.3.(up|down)_proj.weight",
        1);
  }

  @Test
  void namesExchangedExperts() throws IOException {
    assertFails(
        fault().exchangeAll(LAYER + "mlp.experts.3.", LAYER + "mlp.experts.5."),
        "model.layers.2.mlp.experts.[35]..*",
        6);
  }
}
