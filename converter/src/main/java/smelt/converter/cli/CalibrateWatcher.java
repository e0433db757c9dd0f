package smelt.converter.cli;

import smelt.calibrate.pass.Calibration;
import smelt.converter.InterruptedRunException;
import smelt.converter.progress.Progress;
import smelt.converter.run.StopSignal;

/// Shows how far a calibration has come, and ends it on a signal.
record CalibrateWatcher(Progress progress, StopSignal stop) implements Calibration.Watcher {

  @Override
  public void starts(long bytes, long steps) {
    progress.start(bytes, steps);
  }

  @Override
  public void read(long bytes) {
    progress.advance(bytes);
  }

  @Override
  public void stepDone() {
    progress.unitDone();
  }

  @Override
  public void check() {
    if (stop.isStopped()) {
      throw new InterruptedRunException(
          "the calibration",
          "a signal to stop",
          "its end",
          "run the same command again: finished layers are kept");
    }
  }
}
