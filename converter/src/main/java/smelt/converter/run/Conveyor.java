package smelt.converter.run;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import smelt.converter.plan.Plan;

/// Hands out the work of a run: tiles of the unit at hand, and the sealing of finished shards,
/// which goes on while the next unit is converted. Safe for threads.
///
/// Few units are open at a time, which bounds open files and what a stop throws away: the one that
/// is converted, and as many as have half of the workers sealing. A shard is sealed by one worker,
/// because its digest runs from its first byte to its last.
final class Conveyor implements AutoCloseable {

  /// Something for a worker to do.
  sealed interface Task {
    record Convert(UnitRun.Tile tile) implements Task {}

    record Seal(UnitRun unit, int target) implements Task {}
  }

  /// With any number of threads.
  static final int MOST_OPEN_UNITS = 4;

  private final Plan plan;
  private final List<Path> folders;
  private final MemoryPlan memory;
  private final DiskForcer disk;
  private final int openUnits;
  private final ArrayDeque<Integer> waiting;
  private final ArrayDeque<Task.Seal> seals = new ArrayDeque<>();
  private final List<UnitRun> open = new ArrayList<>();
  private boolean stopped;

  /// @param units indices of the units to do, in order
  Conveyor(Plan plan, List<Path> folders, MemoryPlan memory, DiskForcer disk, List<Integer> units) {
    this.plan = plan;
    this.folders = folders;
    this.memory = memory;
    this.disk = disk;
    this.openUnits =
        Math.min(MOST_OPEN_UNITS, 1 + Math.ceilDiv(memory.threads(), 2 * folders.size()));
    this.waiting = new ArrayDeque<>(units);
  }

  /// The next task; waits while all work is with other workers. Empty when all is done or stopped.
  synchronized Optional<Task> take() throws IOException, InterruptedException {
    while (true) {
      if (stopped || (open.isEmpty() && waiting.isEmpty())) {
        return Optional.empty();
      }
      if (!seals.isEmpty()) {
        return Optional.of(seals.poll());
      }
      for (UnitRun unit : open) {
        if (unit.hasTiles()) {
          return Optional.of(new Task.Convert(unit.takeTile()));
        }
      }
      if (!waiting.isEmpty() && open.size() < openUnits) {
        openNext();
      } else {
        wait();
      }
    }
  }

  private void openNext() throws IOException {
    UnitRun unit = UnitRun.open(plan, waiting.poll(), folders, memory.tileBytes(), disk);
    open.add(unit);
    if (unit.isWritten()) {
      queueSeals(unit);
    }
    notifyAll();
  }

  /// Takes back a converted tile.
  synchronized void converted(UnitRun.Tile tile) {
    if (tile.unit().finishTile()) {
      queueSeals(tile.unit());
      notifyAll();
    }
  }

  private void queueSeals(UnitRun unit) {
    for (int target : unit.targets()) {
      seals.add(new Task.Seal(unit, target));
    }
  }

  /// Takes back a sealed shard; true when it was the unit's last, which is then closed.
  synchronized boolean sealed(UnitRun unit) throws IOException {
    boolean last = unit.finishSeal();
    if (last) {
      open.remove(unit);
      unit.close();
      notifyAll();
    }
    return last;
  }

  /// Hands out nothing more.
  synchronized void stop() {
    stopped = true;
    notifyAll();
  }

  /// Removes the shards of unfinished units.
  @Override
  public synchronized void close() throws IOException {
    stopped = true;
    IOException failure = null;
    for (UnitRun unit : open) {
      try {
        unit.close();
      } catch (IOException e) {
        if (failure == null) {
          failure = e;
        } else {
          failure.addSuppressed(e);
        }
      }
    }
    open.clear();
    if (failure != null) {
      throw failure;
    }
  }
}
