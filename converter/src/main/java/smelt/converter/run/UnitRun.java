package smelt.converter.run;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import smelt.converter.plan.Job;
import smelt.converter.plan.JudgedRows;
import smelt.converter.plan.Plan;
import smelt.converter.plan.TargetPlan;
import smelt.converter.plan.Unit;
import smelt.formats.files.Thorough;

/// A unit that is being worked on: its shards, the tiles that are still to be handed out, and how
/// many are still in work. Not safe for threads by itself; `Conveyor` guards it.
final class UnitRun implements AutoCloseable {

  /// A tile of a weight.
  record Tile(UnitRun unit, Job job, TileShape shape, long row) {}

  private final Unit unit;
  private final SortedMap<Integer, ShardWriter> shards;
  private final long tileBytes;
  private final List<Receipt.ShardDigest> digests = Collections.synchronizedList(new ArrayList<>());
  private final Map<Integer, JudgedRows> judged = new ConcurrentHashMap<>();
  private int nextJob;
  private long nextRow;
  private long tilesInWork;
  private int shardsToSeal;

  private UnitRun(Unit unit, SortedMap<Integer, ShardWriter> shards, long tileBytes) {
    this.unit = unit;
    this.shards = shards;
    this.tileBytes = tileBytes;
    this.shardsToSeal = shards.size();
  }

  /// Starts the unit's shards in the targets' folders.
  static UnitRun open(Plan plan, int index, List<Path> folders, long tileBytes, DiskForcer disk)
      throws IOException {
    SortedMap<Integer, ShardWriter> shards = new TreeMap<>();
    UnitRun run = new UnitRun(plan.units().get(index), shards, tileBytes);
    try {
      for (int t = 0; t < plan.targets().size(); t++) {
        Optional<TargetPlan.Shard> shard = plan.targets().get(t).shard(index);
        if (shard.isPresent()) {
          shards.put(t, ShardWriter.create(folders.get(t), shard.get(), disk));
        }
      }
    } catch (IOException | RuntimeException e) {
      run.close();
      throw e;
    }
    run.shardsToSeal = shards.size();
    run.skipEmptyJobs();
    return run;
  }

  Unit unit() {
    return unit;
  }

  ShardWriter shard(int target) {
    return shards.get(target);
  }

  /// Indices of the targets that have a shard of this unit.
  Set<Integer> targets() {
    return shards.keySet();
  }

  boolean hasTiles() {
    return nextJob < unit.jobs().size();
  }

  /// Hands out the next tile.
  Tile takeTile() {
    Job job = unit.jobs().get(nextJob);
    TileShape shape = TileShape.of(job, tileBytes);
    Tile tile = new Tile(this, job, shape, nextRow);
    nextRow += shape.rowsAt(nextRow);
    if (nextRow >= shape.rows()) {
      nextJob++;
      nextRow = 0;
      skipEmptyJobs();
    }
    tilesInWork++;
    return tile;
  }

  private void skipEmptyJobs() {
    while (hasTiles() && unit.jobs().get(nextJob).weight().codes().bytes() == 0) {
      nextJob++;
    }
  }

  /// Takes back a finished tile; true when it was the unit's last.
  boolean finishTile() {
    tilesInWork--;
    return isWritten();
  }

  /// Whether every tile is written.
  boolean isWritten() {
    return !hasTiles() && tilesInWork == 0;
  }

  void addDigest(Receipt.ShardDigest digest) {
    digests.add(digest);
  }

  /// Notes rows of a target that a solver chose. Safe for several threads.
  void addJudged(int target, JudgedRows rows) {
    judged.merge(target, rows, JudgedRows::plus);
  }

  /// Notes a sealed shard; true when it was the unit's last.
  boolean finishSeal() {
    shardsToSeal--;
    return shardsToSeal == 0;
  }

  Receipt receipt(String plan, Map<String, String> sources) {
    List<Receipt.ShardDigest> sorted = new ArrayList<>(digests);
    sorted.sort(java.util.Comparator.comparingInt(Receipt.ShardDigest::target));
    return new Receipt(plan, unit.number(), sources, sorted, judged);
  }

  /// Names of the source files that a unit reads.
  static Set<String> sourceFiles(Unit unit) {
    TreeSet<String> names = new TreeSet<>();
    for (Job job : unit.jobs()) {
      names.add(job.weight().codes().file());
      job.weight().scale().ifPresent(scale -> names.add(scale.file()));
    }
    return names;
  }

  /// Removes what is not sealed.
  @Override
  public void close() throws IOException {
    Thorough.forEach(shards.values(), ShardWriter::close);
  }
}
