package smelt.converter.run;

import java.io.IOException;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import smelt.converter.ByteSize;
import smelt.converter.RefusedException;
import smelt.converter.plan.Plan;
import smelt.converter.plan.ShardLayout;
import smelt.converter.plan.TargetPlan;

/// Compares what a plan will write with the room there is, before anything is written.
public final class DiskSpace {

  private DiskSpace() {}

  /// Refuses a run whose output does not fit.
  ///
  /// @throws RefusedException with the numbers
  public static void require(Plan plan, Path output) throws IOException {
    Path existing = output.toAbsolutePath();
    while (!Files.exists(existing)) {
      existing = existing.getParent();
    }
    FileStore store = Files.getFileStore(existing);
    long needed = Occupancy.hasAllFiles(output, plan) ? 0 : needed(plan, output, store);
    long free = store.getUsableSpace();
    if (needed > free) {
      throw new RefusedException(
          output.toString(),
          ByteSize.format(free) + " of free disk space (" + free + " bytes)",
          "at least " + ByteSize.format(needed) + " (" + needed + " bytes) for the output",
          "free " + ByteSize.format(needed - free) + " or choose another folder");
    }
  }

  /// Bytes that the run takes at most. A unit with a receipt takes none. A shard without one is
  /// written beside the old one before it takes its place, so the largest units that can be open at
  /// the same time need their room twice. Every file ends in a block of its own; a receipt is
  /// smaller than what the manifest says of the same tensors.
  private static long needed(Plan plan, Path output, FileStore store) throws IOException {
    long bytes = 0;
    long files = 0;
    long[] largest = new long[Conveyor.MOST_OPEN_UNITS + 1];
    for (int u = 0; u < plan.units().size(); u++) {
      long unit = 0;
      long present = 0;
      for (TargetPlan target : plan.targets()) {
        Optional<TargetPlan.Shard> shard = target.shard(u);
        if (shard.isPresent()) {
          Path folder = output.resolve(target.folder());
          for (ShardLayout.UnitFile file : shard.get().files()) {
            unit += file.bytes();
            present +=
                Occupancy.hasSize(folder.resolve(file.name()), file.bytes()) ? file.bytes() : 0;
            files++;
          }
        }
      }
      boolean done = present == unit && OutputFolder.hasReceipt(output, plan.units().get(u));
      largest[0] = done ? 0 : present;
      Arrays.sort(largest);
      bytes = Math.addExact(bytes, unit - present);
      files += plan.targets().size() + 1;
    }
    for (int i = 1; i < largest.length; i++) {
      bytes = Math.addExact(bytes, largest[i]);
    }
    for (TargetPlan target : plan.targets()) {
      bytes = Math.addExact(bytes, 2 * target.manifestBytes());
      bytes = Math.addExact(bytes, target.listing().map(TargetPlan.Listing::bytes).orElse(0L));
      for (TargetPlan.SmallFile file : target.smallFiles()) {
        bytes += file.bytes().length;
      }
      files += 2 + target.smallFiles().size();
    }
    return Math.addExact(bytes, files * store.getBlockSize());
  }
}
