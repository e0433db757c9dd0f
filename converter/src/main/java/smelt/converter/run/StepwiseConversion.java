package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.LongAdder;
import smelt.converter.InterruptedRunException;
import smelt.converter.plan.Job;
import smelt.converter.plan.Plan;
import smelt.converter.plan.Unit;
import smelt.converter.progress.Progress;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;
import smelt.formats.source.SourceFiles;

/// Runs a plan in steps: the caller says which weights come next, and finds them written when the
/// step ends. A unit is begun with the first of its weights and sealed with the last; units that
/// have a receipt are left as they are.
///
/// Gives the bytes of [Conversion]. For one thread, which waits while the workers convert.
public final class StepwiseConversion implements AutoCloseable {

  private final SourceFiles source;
  private final Plan plan;
  private final OutputFolder output;
  private final MemoryPlan memory;
  private final StopSignal stop;
  private final Progress progress;
  private final Map<String, Place> places = new HashMap<>();
  private final Map<Integer, Opened> open = new TreeMap<>();
  private final List<TileWorker> workers = new ArrayList<>();
  private final Arena arena = Arena.ofShared();
  private final DiskForcer disk = new DiskForcer();
  private final ExecutorService threads;
  private final LongAdder bytesRead = new LongAdder();
  private final int unitsKept;
  private int unitsDone;

  /// Where a weight's job is.
  private record Place(int unit, Job job) {}

  /// A unit that has begun.
  private static final class Opened {
    final UnitRun run;
    int jobsLeft;

    Opened(UnitRun run) {
      this.run = run;
      jobsLeft = run.unit().jobs().size();
    }
  }

  /// @param model the plan's source; stays open until this is closed, as does `output`
  public StepwiseConversion(
      ModelSource model,
      Plan plan,
      OutputFolder output,
      Conversion.Means means,
      MemoryPlan memory,
      StopSignal stop,
      Progress progress) {
    this.plan = plan;
    this.output = output;
    this.memory = memory;
    this.stop = stop;
    this.progress = progress;
    source = new SourceFiles(model);
    int kept = 0;
    for (int u = 0; u < plan.units().size(); u++) {
      if (output.isDone(u)) {
        kept++;
        continue;
      }
      for (Job job : plan.units().get(u).jobs()) {
        places.put(job.weight().name(), new Place(u, job));
      }
    }
    unitsKept = kept;
    for (int i = 0; i < memory.threads(); i++) {
      workers.add(new TileWorker(source, means, memory.buffers(), arena));
    }
    threads =
        Executors.newFixedThreadPool(
            memory.threads(), Thread.ofPlatform().name("smelt-worker-", 1).factory());
  }

  /// Converts some weights for all targets. Those that no target wants, and those of finished
  /// units, are passed over.
  ///
  /// @param weights none that was converted before
  /// @throws InterruptedRunException if the run is to stop
  public void convert(Collection<Weight> weights) throws IOException {
    List<Place> step =
        weights.stream()
            .map(weight -> places.remove(weight.name()))
            .filter(java.util.Objects::nonNull)
            .toList();
    Queue<UnitRun.Tile> tiles = new ConcurrentLinkedQueue<>();
    for (Place place : step) {
      tiles(opened(place.unit()).run, place.job(), tiles);
    }
    convertAll(tiles);
    for (Place place : step) {
      Opened unit = open.get(place.unit());
      unit.jobsLeft--;
      if (unit.jobsLeft == 0) {
        open.remove(place.unit());
        seal(unit.run);
      }
    }
  }

  private Opened opened(int unit) throws IOException {
    Opened known = open.get(unit);
    if (known == null) {
      known =
          new Opened(UnitRun.open(plan, unit, output.targetFolders(), memory.tileBytes(), disk));
      open.put(unit, known);
    }
    return known;
  }

  private void tiles(UnitRun unit, Job job, Queue<UnitRun.Tile> into) {
    if (job.weight().codes().bytes() == 0) {
      return;
    }
    TileShape shape = TileShape.of(job, memory.tileBytes());
    for (long row = 0; row < shape.rows(); row += shape.rowsAt(row)) {
      into.add(new UnitRun.Tile(unit, job, shape, row));
    }
  }

  private void convertAll(Queue<UnitRun.Tile> tiles) throws IOException {
    AtomicBoolean failed = new AtomicBoolean();
    List<Callable<Void>> tasks = new ArrayList<>();
    for (TileWorker worker : workers) {
      tasks.add(() -> {
        boolean done = false;
        try {
          work(worker, tiles, failed);
          done = true;
        } finally {
          if (!done) {
            failed.set(true);
          }
        }
        return null;
      });
    }
    runAll(tasks);
    requireGoingOn();
  }

  private void work(TileWorker worker, Queue<UnitRun.Tile> tiles, AtomicBoolean failed)
      throws IOException {
    while (!failed.get() && !stop.isStopped()) {
      UnitRun.Tile tile = tiles.poll();
      if (tile == null) {
        return;
      }
      long bytes = worker.convert(tile);
      bytesRead.add(bytes);
      progress.advance(bytes);
    }
  }

  /// @throws InterruptedRunException if the run is to stop
  public void requireGoingOn() {
    if (stop.isStopped()) {
      throw new InterruptedRunException(
          output.path().toString(),
          "a request to stop",
          "a run to the end",
          "run the same command again: finished units are kept");
    }
  }

  /// Has every target's shard of a unit read back and named, and writes its receipt.
  private void seal(UnitRun unit) throws IOException {
    try (unit) {
      Unit own = unit.unit();
      for (String file : UnitRun.sourceFiles(own)) {
        source.file(file).checkUnchanged();
      }
      List<Callable<Void>> tasks = new ArrayList<>();
      for (int target : unit.targets()) {
        tasks.add(() -> {
          unit.addDigest(unit.shard(target).seal(target));
          return null;
        });
      }
      runAll(tasks);
      output.finish(unit.receipt(output.planDigest(), OutputFolder.stamps(own, source.model())));
      unitsDone++;
      progress.unitDone();
    }
  }

  private void runAll(List<Callable<Void>> tasks) throws IOException {
    List<Future<Void>> running = tasks.stream().map(threads::submit).toList();
    Optional<Throwable> first = Optional.empty();
    for (Future<Void> task : running) {
      try {
        task.get();
      } catch (ExecutionException e) {
        first.ifPresent(failure -> failure.addSuppressed(e.getCause()));
        first = first.or(() -> Optional.of(e.getCause()));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new java.io.InterruptedIOException(output.path() + ": interrupted");
      }
    }
    if (first.isPresent()) {
      switch (first.get()) {
        case IOException e -> throw e;
        case RuntimeException e -> throw e;
        case Error e -> throw e;
        default -> throw new IllegalStateException(first.get());
      }
    }
  }

  /// What was done, once every weight of the plan was converted.
  public Conversion.Result result() {
    if (!places.isEmpty()) {
      throw new IllegalStateException(places.size() + " weights were not converted");
    }
    return new Conversion.Result(bytesRead.sum(), unitsDone, unitsKept);
  }

  /// Removes the shards of unfinished units.
  @Override
  public void close() throws IOException {
    threads.close();
    try (arena;
        source;
        disk) {
      for (Opened unit : open.values()) {
        unit.run.close();
      }
      for (TileWorker worker : workers) {
        worker.close();
      }
    }
  }
}
