package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.LongAdder;
import smelt.converter.InterruptedRunException;
import smelt.converter.plan.Plan;
import smelt.converter.progress.Progress;
import smelt.converter.tuning.Tuning;
import smelt.formats.codec.DeviceTranscoder;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import smelt.formats.source.SourceFiles;

/// Runs a plan's units that have no receipt yet. Ends with a receipt for every unit, or throws;
/// what is finished keeps its receipt in either case.
public final class Conversion {

  private final SourceFiles source;
  private final Plan plan;
  private final OutputFolder output;
  private final Means means;
  private final MemoryPlan memory;
  private final StopSignal stop;
  private final Progress progress;
  private final LongAdder bytesRead = new LongAdder();

  private Conversion(
      SourceFiles source,
      Plan plan,
      OutputFolder output,
      Means means,
      MemoryPlan memory,
      StopSignal stop,
      Progress progress) {
    this.source = source;
    this.plan = plan;
    this.output = output;
    this.means = means;
    this.memory = memory;
    this.stop = stop;
    this.progress = progress;
  }

  /// What a run did.
  ///
  /// @param bytesRead bytes of weights and scales read from the source
  /// @param unitsDone units converted by this run
  /// @param unitsKept units that an earlier run had finished
  public record Result(long bytesRead, int unitsDone, int unitsKept) {}

  /// What a conversion computes with.
  ///
  /// @param device transcodes the tiles that it can; it does not change the result
  /// @param tuning what a calibration says
  public record Means(Kernels kernels, Optional<DeviceTranscoder> device, Tuning tuning) {

    /// Processors alone, by the weights alone.
    public static Means of(Kernels kernels) {
      return new Means(kernels, Optional.empty(), Tuning.NONE);
    }
  }

  /// Runs the units in the given order, on processors and by the weights alone.
  public static Result run(
      ModelSource model,
      Plan plan,
      OutputFolder output,
      Kernels kernels,
      MemoryPlan memory,
      StopSignal stop,
      Progress progress,
      List<Integer> order)
      throws IOException, InterruptedException {
    return run(model, plan, output, Means.of(kernels), memory, stop, progress, order);
  }

  /// Runs the units in the given order.
  ///
  /// @param order indices of the plan's units; those with a receipt are skipped
  /// @throws InterruptedRunException if `stop` asked to
  public static Result run(
      ModelSource model,
      Plan plan,
      OutputFolder output,
      Means means,
      MemoryPlan memory,
      StopSignal stop,
      Progress progress,
      List<Integer> order)
      throws IOException, InterruptedException {
    List<Integer> units = order.stream().filter(u -> !output.isDone(u)).toList();
    try (SourceFiles files = new SourceFiles(model)) {
      Conversion run = new Conversion(files, plan, output, means, memory, stop, progress);
      run.work(units);
      return new Result(run.bytesRead.sum(), units.size(), plan.units().size() - units.size());
    }
  }

  private void work(List<Integer> units) throws IOException, InterruptedException {
    List<Path> folders = output.targetFolders();
    try (DiskForcer disk = new DiskForcer();
        Conveyor conveyor = new Conveyor(plan, folders, memory, disk, units);
        ExecutorService workers = Executors.newFixedThreadPool(memory.threads(), namedThreads())) {
      List<Future<?>> running = new ArrayList<>();
      for (int i = 0; i < memory.threads(); i++) {
        running.add(
            workers.submit(() -> {
              workUntilDone(conveyor);
              return null;
            }));
      }
      await(running);
    }
    if (stop.isStopped()) {
      throw new InterruptedRunException(
          output.path().toString(),
          "a request to stop",
          "a run to the end",
          "run the same command again: finished units are kept");
    }
  }

  private static java.util.concurrent.ThreadFactory namedThreads() {
    return Thread.ofPlatform().name("smelt-worker-", 1).factory();
  }

  private void workUntilDone(Conveyor conveyor) throws IOException, InterruptedException {
    try (Arena arena = Arena.ofConfined();
        TileWorker worker = new TileWorker(source, means, memory.buffers(), arena)) {
      while (!stop.isStopped()) {
        Optional<Conveyor.Task> task = conveyor.take();
        if (task.isEmpty()) {
          return;
        }
        switch (task.get()) {
          case Conveyor.Task.Convert(UnitRun.Tile tile) -> {
            long bytes = worker.convert(tile);
            bytesRead.add(bytes);
            progress.advance(bytes);
            conveyor.converted(tile);
          }
          case Conveyor.Task.Seal(UnitRun unit, int target) -> seal(conveyor, unit, target);
        }
      }
    } finally {
      conveyor.stop();
    }
  }

  private void seal(Conveyor conveyor, UnitRun unit, int target) throws IOException {
    for (String file : UnitRun.sourceFiles(unit.unit())) {
      source.file(file).checkUnchanged();
    }
    unit.addDigest(unit.shard(target).seal(target));
    if (conveyor.sealed(unit)) {
      output.finish(
          unit.receipt(output.planDigest(), OutputFolder.stamps(unit.unit(), source.model())));
      progress.unitDone();
    }
  }

  /// Waits for all workers; after the first failure the others stop at their next tile.
  private void await(List<Future<?>> running) throws IOException, InterruptedException {
    Set<Throwable> failures = new LinkedHashSet<>();
    for (Future<?> worker : running) {
      try {
        worker.get();
      } catch (ExecutionException e) {
        failures.add(e.getCause());
      }
    }
    Throwable first = failures.isEmpty() ? null : failures.iterator().next();
    failures.stream().skip(1).forEach(later -> first.addSuppressed(later));
    switch (first) {
      case null -> {}
      case IOException e -> throw e;
      case InterruptedException e -> throw e;
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      default -> throw new IllegalStateException(first);
    }
  }
}
