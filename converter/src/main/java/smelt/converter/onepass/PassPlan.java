package smelt.converter.onepass;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import smelt.calibrate.math.Compute;
import smelt.calibrate.observe.HeldOut;
import smelt.calibrate.observe.HessianChoice;
import smelt.calibrate.observe.LayerObserver;
import smelt.calibrate.pass.CalibratePlan;
import smelt.calibrate.smooth.Pair;
import smelt.calibrate.solve.SolveKernels;
import smelt.converter.plan.Job;
import smelt.converter.plan.Plan;
import smelt.converter.plan.TargetPlan;
import smelt.converter.plan.Unit;
import smelt.converter.progress.Progress;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.result.ResultModel;
import smelt.converter.run.Conversion;
import smelt.converter.run.MemoryPlan;
import smelt.converter.run.OutputFolder;
import smelt.converter.run.StepwiseConversion;
import smelt.converter.run.StopSignal;
import smelt.converter.run.UnfinishedTarget;
import smelt.converter.target.Target;
import smelt.converter.tuning.CalibratedTuning;
import smelt.converter.tuning.Tuning;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ModelSource;
import smelt.verify.inference.Verification;
import smelt.verify.inference.VerifyPlan;

/// One pass over a model, planned.
///
/// @param plan of the conversion
/// @param checkpoint the plan's source
/// @param texts what goes through the model
/// @param floor an expert that fewer tokens come to is also run on those that came closest
/// @param about what reports say of the run
/// @param verdict how the targets are judged; its sequences are those of `texts`
public record PassPlan(
    Plan plan,
    Checkpoint checkpoint,
    OnePass.Texts texts,
    int floor,
    Verdicts verdict,
    Verification.About about) {

  /// How targets are judged.
  @FunctionalInterface
  public interface Verdicts {
    Verification.Request of(TargetSpec target);
  }

  /// What to compute with.
  ///
  /// @param verify with a compute that is steady and stays the caller's to close
  public record Tools(Verification.Tools verify, SolveKernels solve) {
    Compute compute() {
      return verify.compute();
    }
  }

  /// Factors of a norm that experts read are decided by all of them, before one is converted. A
  /// target of experts alone goes through the source's other weights once more, behind each layer.
  private HeldParts.Holding holding() {
    boolean experts =
        plan.targets().stream()
            .anyMatch(target ->
                target.spec().calibrated().smooth().contains(Pair.Kind.FEED_FORWARD_NORM));
    boolean others =
        isVerified()
            && plan.targets().stream()
                .anyMatch(target -> target.spec().target().kind() == Target.Kind.EXPERTS);
    return new HeldParts.Holding(experts, others);
  }

  private boolean isObserved() {
    return !texts.calibration().isEmpty();
  }

  private boolean isVerified() {
    return !texts.evaluation().isEmpty();
  }

  /// Second moments are kept where some target needs them.
  private Optional<LayerObserver.Options> observed() {
    boolean moments = plan.targets().stream().anyMatch(t -> t.spec().calibrated().needsHessians());
    long sample = texts.calibration().stream().mapToLong(ids -> ids.length).sum();
    return isObserved()
        ? Optional.of(
            new LayerObserver.Options(
                moments ? HessianChoice.ALL : HessianChoice.NONE,
                floor,
                sample,
                HeldOut.of(texts.calibration(), texts.documents())))
        : Optional.empty();
  }

  /// Every target, while it is written; empty where none is verified.
  ///
  /// @param source the plan's, or a view of it
  private List<FollowedTarget.Setting> settings(ModelSource source, Path output)
      throws IOException {
    List<FollowedTarget.Setting> settings = new ArrayList<>();
    try {
      for (int t = 0; isVerified() && t < plan.targets().size(); t++) {
        settings.add(setting(source, output, t));
      }
      return settings;
    } catch (IOException | RuntimeException e) {
      for (FollowedTarget.Setting setting : settings) {
        setting.close();
      }
      throw e;
    }
  }

  private FollowedTarget.Setting setting(ModelSource source, Path output, int t)
      throws IOException {
    TargetPlan target = plan.targets().get(t);
    TargetSpec spec = target.spec();
    UnfinishedTarget written = new UnfinishedTarget(output.resolve(target.folder()), target);
    ResultModel made =
        ResultModel.open(
            written, new Verification.Model(source, checkpoint), spec.calibrated().smooth());
    return new FollowedTarget.Setting(
        spec.name(), written, made, isLossless(t), verdict.of(spec).or(made.usual()), about);
  }

  /// Whether a target holds every number as it is.
  private boolean isLossless(int target) {
    for (Unit unit : plan.units()) {
      for (Job job : unit.jobs()) {
        boolean copied =
            job.output(target).orElse(null) instanceof Job.Output.Tensor tensor
                && job.copies(tensor);
        if (!copied) {
          return false;
        }
      }
    }
    return true;
  }

  /// What the pass has to do, for [PassMemory#of].
  ///
  /// @param source the plan's
  /// @param conversion what the conversion takes
  /// @param output where targets will lie
  public PassMemory.Work work(ModelSource source, MemoryPlan conversion, Path output, Tools tools)
      throws IOException {
    List<PassMemory.Verified> verified = new ArrayList<>();
    for (FollowedTarget.Setting setting : settings(source, output)) {
      try (setting) {
        VerifyPlan plan = setting.plan(checkpoint, tools.verify());
        verified.add(new PassMemory.Verified(setting.model().checkpoint(), plan));
      }
    }
    CalibratePlan.Work model =
        new CalibratePlan.Work(
            checkpoint,
            texts.tokens(),
            texts.longest(),
            observed().orElse(LayerObserver.Options.PLAIN),
            tools.compute(),
            0);
    return new PassMemory.Work(conversion, model, holding(), verified);
  }

  /// Bytes that tuning takes with so many threads.
  public long tuningBytes(int threads) {
    return isObserved() ? CalibratedTuning.bytes(plan, checkpoint, threads) : 0;
  }

  /// Carries it out; the output is not published yet.
  ///
  /// @param source the plan's
  /// @param memory what the conversion takes
  /// @param scratch bytes of the source's model, see [PassMemory#scratch]
  public OnePass.Result run(
      ModelSource source,
      OutputFolder output,
      MemoryPlan memory,
      long scratch,
      Tools tools,
      StopSignal stop,
      Progress progress)
      throws IOException {
    LayerStatistics statistics = new LayerStatistics();
    try (HeldParts held = new HeldParts(source, checkpoint, holding());
        Tuning tuning = tuning(held, statistics, tools);
        StepwiseConversion conversion =
            new StepwiseConversion(
                held,
                plan,
                output,
                new Conversion.Means(tools.verify().codec(), Optional.empty(), tuning),
                memory,
                stop,
                progress);
        OnePass pass =
            new OnePass(
                checkpoint,
                held,
                texts,
                scratch,
                observed().map(how -> new OnePass.Observation(statistics, how, tools.compute())),
                conversion,
                tools.compute())) {
      for (FollowedTarget.Setting setting : settings(held, output.path())) {
        setting.written().begin();
        pass.verify(setting, tools.verify(), conversion::requireGoingOn);
      }
      return pass.run();
    }
  }

  private Tuning tuning(HeldParts held, LayerStatistics statistics, Tools tools) {
    return isObserved()
        ? new CalibratedTuning(
            plan,
            checkpoint,
            held,
            statistics,
            new CalibratedTuning.Tools(tools.verify().codec(), tools.solve(), tools.compute()))
        : Tuning.NONE;
  }
}
