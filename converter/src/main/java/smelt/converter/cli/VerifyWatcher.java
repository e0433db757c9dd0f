package smelt.converter.cli;

import smelt.converter.InterruptedRunException;
import smelt.converter.progress.Progress;
import smelt.converter.run.StopSignal;
import smelt.verify.inference.Verification;

/// Shows how far a verification has come, and ends it on a signal.
record VerifyWatcher(Progress progress, StopSignal stop) implements Verification.Watcher {

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
          "the verification", "a signal to stop", "its end", "run it again; nothing was written");
    }
  }
}
