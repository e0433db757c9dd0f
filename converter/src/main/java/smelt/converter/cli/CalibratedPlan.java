package smelt.converter.cli;

import java.io.IOException;
import java.util.Optional;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.solve.SolveKernelSet;
import smelt.converter.plan.Plan;
import smelt.converter.tuning.CalibratedTuning;
import smelt.converter.tuning.Statistics;
import smelt.converter.tuning.Tuning;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;

/// A plan and the calibration that its numbers are chosen from.
record CalibratedPlan(
    Plan plan, Checkpoint checkpoint, ModelSource source, CalibrationTable table) {

  /// Bytes that the calibration takes with so many threads.
  long bytes(int threads) {
    return CalibratedTuning.bytes(plan, checkpoint, threads);
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
    String set = codec.name().equals("scalar") ? "scalar" : "vector";
    Compute compute = Compute.steady(MathKernelSet.choose(set), codec, threads);
    CalibratedPlan own = calibrated.get();
    CalibratedTuning.Tools tools =
        new CalibratedTuning.Tools(codec, SolveKernelSet.choose(set), compute);
    return new Opened(
        new CalibratedTuning(
            own.plan(), own.checkpoint(), own.source(), Statistics.of(own.table()), tools),
        Optional.of(compute));
  }
}
