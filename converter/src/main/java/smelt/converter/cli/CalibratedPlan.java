package smelt.converter.cli;

import java.io.IOException;
import java.util.Optional;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.solve.SolveKernelSet;
import smelt.converter.plan.Plan;
import smelt.converter.tuning.CalibratedTuning;
import smelt.converter.tuning.ImatrixTuning;
import smelt.converter.tuning.Statistics;
import smelt.converter.tuning.Tuning;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;

/// A plan and what its numbers are chosen from.
record CalibratedPlan(Plan plan, Checkpoint checkpoint, ModelSource source, ChosenBy by) {

  /// @throws smelt.formats.BadInputException if an importance matrix is of another model
  CalibratedPlan {
    if (by instanceof ChosenBy.Matrix matrix) {
      try (ImatrixTuning _ = tuning(plan, checkpoint, matrix)) {
        // Made once before anything is written, for what it refuses.
      }
    }
  }

  /// Bytes that the calibration takes with so many threads.
  long bytes(int threads) {
    return switch (by) {
      case ChosenBy.Table _ -> CalibratedTuning.bytes(plan, checkpoint, threads);
      case ChosenBy.Matrix matrix -> ImatrixTuning.bytes(matrix.bytes());
    };
  }

  private static ImatrixTuning tuning(Plan plan, Checkpoint checkpoint, ChosenBy.Matrix matrix) {
    return new ImatrixTuning(plan, checkpoint, matrix.imatrix(), matrix.file());
  }

  /// A tuning, and what it computes with.
  record Opened(Tuning tuning, Optional<Compute> compute) implements AutoCloseable {
    @Override
    public void close() throws IOException {
      tuning.close();
      compute.ifPresent(Compute::close);
    }
  }

  /// The caller closes it.
  static Opened open(Optional<CalibratedPlan> calibrated, Kernels codec, int threads) {
    if (calibrated.isEmpty()) {
      return new Opened(Tuning.NONE, Optional.empty());
    }
    return switch (calibrated.get().by()) {
      case ChosenBy.Table(CalibrationTable table) -> open(calibrated.get(), table, codec, threads);
      case ChosenBy.Matrix matrix ->
          new Opened(
              tuning(calibrated.get().plan(), calibrated.get().checkpoint(), matrix),
              Optional.empty());
    };
  }

  private static Opened open(
      CalibratedPlan own, CalibrationTable table, Kernels codec, int threads) {
    String set = codec.name().equals("scalar") ? "scalar" : "vector";
    Compute compute = Compute.steady(MathKernelSet.choose(set), codec, threads);
    CalibratedTuning.Tools tools =
        new CalibratedTuning.Tools(codec, SolveKernelSet.choose(set), compute);
    return new Opened(
        new CalibratedTuning(
            own.plan(), own.checkpoint(), own.source(), Statistics.of(table), tools),
        Optional.of(compute));
  }
}
