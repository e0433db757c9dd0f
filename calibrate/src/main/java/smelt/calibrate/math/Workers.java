package smelt.calibrate.math;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/// A fixed number of threads that share the tasks of one operation; the caller's is one of them.
final class Workers implements AutoCloseable {

  private final int threads;
  private final ExecutorService others;

  /// One task of an operation.
  @FunctionalInterface
  interface Work {
    /// @param worker who does it, from 0 to one less than the number of threads; a worker does one
    ///   task at a time
    void run(int task, int worker);
  }

  Workers(int threads) {
    this.threads = threads;
    this.others =
        Executors.newFixedThreadPool(
            Math.max(1, threads - 1), Thread.ofPlatform().daemon().name("compute-", 0).factory());
  }

  int threads() {
    return threads;
  }

  /// Does all tasks and returns when the last is done. When one fails no further one is begun.
  void run(int tasks, Work work) {
    AtomicInteger next = new AtomicInteger();
    List<Future<?>> running = new ArrayList<>();
    for (int worker = 1; worker < Math.min(threads, tasks); worker++) {
      int number = worker;
      running.add(others.submit(() -> drain(next, tasks, number, work)));
    }
    try {
      drain(next, tasks, 0, work);
    } finally {
      await(running);
    }
  }

  private static void drain(AtomicInteger next, int tasks, int worker, Work work) {
    boolean done = false;
    try {
      for (int task = next.getAndIncrement(); task < tasks; task = next.getAndIncrement()) {
        work.run(task, worker);
      }
      done = true;
    } finally {
      if (!done) {
        next.set(tasks);
      }
    }
  }

  /// Waits for all, interrupted or not: they use memory of the caller.
  private static void await(List<Future<?>> running) {
    boolean interrupted = false;
    RuntimeException failure = null;
    for (Future<?> future : running) {
      boolean done = false;
      while (!done) {
        try {
          future.get();
          done = true;
        } catch (InterruptedException _) {
          interrupted = true;
        } catch (ExecutionException e) {
          failure = new IllegalStateException("a worker failed", e.getCause());
          done = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    if (failure != null) {
      throw failure;
    }
  }

  @Override
  public void close() {
    others.close();
  }
}
