package smelt.converter.cli;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import smelt.converter.run.StopSignal;

/// Lets Ctrl-C and `kill` end a run in good order: the run is asked to stop, finishes the tiles in
/// hand, removes unfinished files, and the process exits with the run's own code.
public final class Interruption {

  private static final long PATIENCE_MILLIS = 1000;

  private final CountDownLatch ended = new CountDownLatch(1);
  private final List<Thread> hooks = new CopyOnWriteArrayList<>();
  private volatile boolean writes = true;
  private volatile int code;

  /// From now on a signal asks this run to stop, and waits for [#ended].
  void arm(StopSignal stop) {
    Thread hook =
        Thread.ofPlatform()
            .name("smelt-interrupted")
            .unstarted(() -> {
              stop.stop();
              try {
                awaitEnd();
              } catch (InterruptedException _) {
                code = ExitCode.INTERRUPTED.code();
              }
              Runtime.getRuntime().halt(code);
            });
    hooks.add(hook);
    Runtime.getRuntime().addShutdownHook(hook);
  }

  /// Waits for the run's end, but for a run that has nothing to put in order only a moment.
  private void awaitEnd() throws InterruptedException {
    while (!ended.await(PATIENCE_MILLIS, TimeUnit.MILLISECONDS)) {
      if (!writes) {
        code = ExitCode.INTERRUPTED.code();
        return;
      }
    }
  }

  /// Says whether the run is at work on files of its own. While it is not, a signal need not wait
  /// for it.
  void writing(boolean now) {
    writes = now;
  }

  /// The command is over and everything is printed.
  public void ended(int exitCode) {
    code = exitCode;
    ended.countDown();
  }

  /// For a process that lives on after the run: from now on it ends as if there had been none.
  public void disarm() {
    hooks.forEach(Runtime.getRuntime()::removeShutdownHook);
    hooks.clear();
  }
}
