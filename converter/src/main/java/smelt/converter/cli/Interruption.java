package smelt.converter.cli;

import java.util.concurrent.CountDownLatch;
import smelt.converter.run.StopSignal;

/// Lets Ctrl-C and `kill` end a run in good order: the run is asked to stop, finishes the tiles in
/// hand, removes unfinished files, and the process exits with the run's own code.
public final class Interruption {

  private final CountDownLatch ended = new CountDownLatch(1);
  private volatile int code;

  /// From now on a signal asks this run to stop, and waits for [#ended].
  void arm(StopSignal stop) {
    Thread hook =
        Thread.ofPlatform()
            .name("smelt-interrupted")
            .unstarted(() -> {
              stop.stop();
              try {
                ended.await();
              } catch (InterruptedException _) {
                code = ExitCode.INTERRUPTED.code();
              }
              Runtime.getRuntime().halt(code);
            });
    Runtime.getRuntime().addShutdownHook(hook);
  }

  /// The command is over and everything is printed.
  public void ended(int exitCode) {
    code = exitCode;
    ended.countDown();
  }
}
