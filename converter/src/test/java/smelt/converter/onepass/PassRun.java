package smelt.converter.onepass;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SegmentAllocator;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Random;
import java.util.stream.IntStream;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.TokenBatch;
import smelt.calibrate.observe.Hessian;
import smelt.calibrate.observe.HessianChoice;
import smelt.calibrate.observe.InputStats;
import smelt.calibrate.observe.LayerObserver;
import smelt.calibrate.observe.Site;
import smelt.calibrate.solve.SolveKernelSet;
import smelt.converter.plan.Plan;
import smelt.converter.plan.Planner;
import smelt.converter.progress.Progress;
import smelt.converter.recipe.Recipe;
import smelt.converter.run.Conversion;
import smelt.converter.run.MemoryPlan;
import smelt.converter.run.OutputFolder;
import smelt.converter.run.StopSignal;
import smelt.converter.tuning.CalibratedTuning;
import smelt.converter.tuning.Statistics;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
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
    return new PassPlan(plan(source, checkpoint), checkpoint, texts, _ -> request(), ABOUT);
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
      OnePass.Result result =
          pass.run(source, folder, memory, tools, new StopSignal(), Progress.silent());
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
      try (Seen seen = Seen.of(source, checkpoint, texts.calibration(), compute);
          CalibratedTuning tuning =
              new CalibratedTuning(
                  plan,
                  checkpoint,
                  source,
                  seen,
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
  QualityReport verify(Path model, Path made) throws IOException {
    try (ModelSource from = ModelSources.open(model);
        ModelSource to = ModelSources.open(made);
        Compute compute = compute()) {
      Verification.Model source = new Verification.Model(from, Checkpoint.open(from));
      Verification.Model result = new Verification.Model(to, Checkpoint.open(to));
      List<Integer> lengths = texts.evaluation().stream().map(ids -> ids.length).toList();
      VerifyPlan plan =
          VerifyPlan.of(
              new VerifyPlan.Work(
                  source.checkpoint(),
                  result.checkpoint(),
                  lengths,
                  compute,
                  0,
                  Looks.atTheEnd(lengths.size())),
              OptionalLong.empty());
      Verification.Watcher watcher =
          new Verification.Watcher() {
            @Override
            public void starts(long bytes, long steps) {}

            @Override
            public void read(long bytes) {}

            @Override
            public void stepDone() {}

            @Override
            public void check() {}
          };
      Verification.Tools tools = new Verification.Tools(KERNELS, compute);
      return new Verification(source, result, request(), plan, tools, watcher).run(ABOUT);
    }
  }

  /// What was seen in all layers of a model.
  private record Seen(Map<Integer, LayerObserver> layers) implements Statistics, AutoCloseable {

    static Seen of(
        ModelSource source, Checkpoint checkpoint, List<int[]> texts, Compute compute)
        throws IOException {
      Map<Integer, LayerObserver> layers = new HashMap<>();
      ModelSpec spec = ModelSpec.of(checkpoint);
      LayerObserver.Options options = new LayerObserver.Options(HessianChoice.ALL, 128);
      try (Arena arena = Arena.ofShared();
          ReferenceModel model =
              ReferenceModel.open(checkpoint, source, compute, 64L << 20)) {
        TokenBatch batch = TokenBatch.of(arena, texts, spec.hidden());
        model.embed(batch);
        for (int layer = 0; layer < spec.layerCount(); layer++) {
          layers.put(layer, observer(spec, layer, options, compute));
          model.layer(layer, batch, LayerOptions.observed(layers.get(layer)));
        }
        model.norm(batch);
        layers.put(spec.layerCount(), observer(spec, spec.layerCount(), options, compute));
        for (Weight weight : checkpoint.weights()) {
          if (weight.role() instanceof TensorRole.Head) {
            layers.get(spec.layerCount()).input(List.of(weight), batch.hidden());
          }
        }
      }
      return new Seen(layers);
    }

    private static LayerObserver observer(
        ModelSpec spec, int layer, LayerObserver.Options options, Compute compute) {
      return new LayerObserver(spec, layer, options, compute, LayerObserver.Listener.NONE);
    }

    @Override
    public synchronized Optional<InputStats> stats(Site site) {
      return layers.get(site.layer()).stats(site);
    }

    @Override
    public OptionalInt channels(Site site) {
      return stats(site).map(seen -> OptionalInt.of(seen.channels())).orElse(OptionalInt.empty());
    }

    @Override
    public synchronized Optional<Hessian> hessian(Site site, SegmentAllocator memory) {
      return layers.get(site.layer()).hessian(site, memory);
    }

    @Override
    public void close() {
      layers.values().forEach(LayerObserver::close);
    }
  }
}
