package smelt.converter.onepass;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.observe.HessianChoice;
import smelt.calibrate.observe.LayerObserver;
import smelt.calibrate.pass.CalibratePlan;
import smelt.calibrate.pass.Calibration;
import smelt.calibrate.smooth.Pair;
import smelt.calibrate.solve.SolveKernelSet;
import smelt.converter.plan.Plan;
import smelt.converter.plan.Planner;
import smelt.converter.progress.Progress;
import smelt.converter.recipe.Recipe;
import smelt.converter.result.ResultModel;
import smelt.converter.run.Conversion;
import smelt.converter.run.MemoryPlan;
import smelt.converter.run.OutputFolder;
import smelt.converter.run.StopSignal;
import smelt.converter.run.TableFolder;
import smelt.converter.tuning.CalibratedTuning;
import smelt.converter.tuning.Statistics;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import smelt.verify.inference.Verification;
import smelt.verify.inference.VerifyPlan;
import smelt.verify.quality.Looks;
import smelt.verify.quality.Profile;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.Units;

/// Conversions in one pass and in steps, inside the test's own process.
record PassRun(Recipe recipe, OnePass.Texts texts) {

  private static final int THREADS = 2;
  private static final int FLOOR = 16;
  private static final Kernels KERNELS = KernelSet.choose("auto");
  static final Verification.About ABOUT = new Verification.About(List.of("text"), "test", "test");

  /// Texts of random ids.
  static List<int[]> texts(long seed, int count, int length, int vocabulary) {
    Random random = new Random(seed);
    List<int[]> texts = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      texts.add(random.ints(length, 2, vocabulary).toArray());
    }
    return texts;
  }

  /// Each text is a document.
  static List<Integer> documents(List<int[]> texts) {
    return IntStream.range(0, texts.size()).boxed().toList();
  }

  /// Texts to calibrate with and to judge on.
  static OnePass.Texts texts(List<int[]> calibration, List<int[]> evaluation) {
    return new OnePass.Texts(calibration, documents(calibration), evaluation);
  }

  private static Compute compute() {
    return Compute.steady(MathKernelSet.choose("auto"), KERNELS, THREADS);
  }

  private Plan plan(ModelSource source, Checkpoint checkpoint) throws IOException {
    Optional<String> digest =
        texts.calibration().isEmpty() ? Optional.empty() : Optional.of("of a test");
    return Planner.plan(source, checkpoint, recipe, digest);
  }

  private Verification.Request request() {
    return new Verification.Request(
        texts.evaluation(),
        IntStream.range(0, texts.evaluation().size()).boxed().toList(),
        true,
        Optional.empty(),
        Profile::bounds,
        OptionalInt.of(1),
        false,
        Units.DOCUMENTS);
  }

  PassPlan pass(ModelSource source, Checkpoint checkpoint) throws IOException {
    return new PassPlan(plan(source, checkpoint), checkpoint, texts, FLOOR, _ -> request(), ABOUT);
  }

  /// Does it in one pass.
  OnePass.Result run(ModelSource source, Checkpoint checkpoint, Path out) throws IOException {
    PassPlan pass = pass(source, checkpoint);
    MemoryPlan memory =
        MemoryPlan.of(pass.plan(), THREADS, OptionalLong.empty(), pass::tuningBytes);
    try (Compute compute = compute();
        OutputFolder folder = OutputFolder.open(out, pass.plan(), source)) {
      PassPlan.Tools tools =
          new PassPlan.Tools(
              new Verification.Tools(KERNELS, compute), SolveKernelSet.choose("auto"));
      PassMemory.Work work = pass.work(source, memory, out, tools);
      long scratch = PassMemory.of(work, 0, OptionalLong.empty()).scratch();
      OnePass.Result result =
          pass.run(source, folder, memory, scratch, tools, new StopSignal(), Progress.silent());
      folder.publish();
      return result;
    }
  }

  /// Observes the whole model, then converts.
  Conversion.Result runInSteps(Path model, Path out) throws IOException, InterruptedException {
    try (ModelSource source = ModelSources.open(model);
        Compute compute = compute()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      Plan plan = plan(source, checkpoint);
      Path table =
          table(
              source,
              checkpoint,
              texts.calibration(),
              compute,
              out.resolveSibling(out.getFileName() + "-table"));
      try (CalibratedTuning tuning =
              new CalibratedTuning(
                  plan,
                  checkpoint,
                  source,
                  Statistics.of(CalibrationTable.open(table)),
                  new CalibratedTuning.Tools(KERNELS, SolveKernelSet.choose("auto"), compute));
          OutputFolder folder = OutputFolder.open(out, plan, source)) {
        MemoryPlan memory =
            MemoryPlan.of(
                plan,
                THREADS,
                OptionalLong.empty(),
                threads -> CalibratedTuning.bytes(plan, checkpoint, threads));
        Conversion.Result result =
            Conversion.run(
                source,
                plan,
                folder,
                new Conversion.Means(KERNELS, Optional.empty(), tuning),
                memory,
                new StopSignal(),
                Progress.silent(),
                IntStream.range(0, plan.units().size()).boxed().toList());
        folder.publish();
        return result;
      }
    }
  }

  /// Verifies a finished result.
  ///
  /// @param smoothed pairs between whose weights factors have passed
  QualityReport verify(Path model, Path folder, Set<Pair.Kind> smoothed) throws IOException {
    try (ModelSource from = ModelSources.open(model);
        ModelSource to = ModelSources.open(folder);
        Compute compute = compute()) {
      Verification.Model source = new Verification.Model(from, Checkpoint.open(from));
      try (ResultModel made = ResultModel.open(to, source, smoothed)) {
        return verify(source, made, compute);
      }
    }
  }

  private QualityReport verify(Verification.Model source, ResultModel made, Compute compute)
      throws IOException {
    Verification.Model result = made.model();
    List<Integer> lengths = texts.evaluation().stream().map(ids -> ids.length).toList();
    VerifyPlan plan =
        VerifyPlan.of(
            new VerifyPlan.Work(
                source.checkpoint(),
                result.checkpoint(),
                lengths,
                compute,
                0,
                Looks.atTheEnd(lengths.size()),
                result.smoothed()),
            OptionalLong.empty());
    Verification.Tools tools = new Verification.Tools(KERNELS, compute);
    return new Verification(source, result, request().or(made.usual()), plan, tools, () -> {})
        .run(ABOUT);
  }

  private static Path table(
      ModelSource source, Checkpoint checkpoint, List<int[]> texts, Compute compute, Path folder)
      throws IOException {
    Calibration.Text text = new Calibration.Text(texts, documents(texts), List.of(), 512);
    LayerObserver.Options options = new LayerObserver.Options(HessianChoice.ALL, FLOOR);
    CalibratePlan plan =
        CalibratePlan.of(
            new CalibratePlan.Work(checkpoint, text.tokens(), text.longest(), options, compute, 0),
            OptionalLong.empty());
    Calibration calibration =
        new Calibration(
            new Calibration.Model(source, checkpoint),
            text,
            options,
            plan,
            compute,
            () -> {},
            "test");
    try (TableFolder table = TableFolder.open(folder, calibration::made)) {
      assertThat(calibration.run(folder, table.work()).layersKept()).isZero();
      table.finish();
    }
    return folder;
  }
}
