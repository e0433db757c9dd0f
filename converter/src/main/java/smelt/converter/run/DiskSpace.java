package smelt.converter.run;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import smelt.converter.ByteSize;
import smelt.converter.RefusedException;
import smelt.converter.plan.Plan;
import smelt.converter.plan.TargetPlan;

/// Compares what a plan will write with the room there is, before anything is written.
public final class DiskSpace {

  private DiskSpace() {}

  /// Refuses a run whose output does not fit. Shards that lie there with their planned size count
  /// as written; if they turn out unfit, the run needs their room but once.
  ///
  /// @throws RefusedException with the numbers
  public static void require(Plan plan, Path output) throws IOException {
    long needed = plan.outputBytes() - present(plan, output);
    Path existing = output.toAbsolutePath();
    while (!Files.exists(existing)) {
      existing = existing.getParent();
    }
    long free = Files.getFileStore(existing).getUsableSpace();
    if (needed > free) {
      throw new RefusedException(
          output.toString(),
          ByteSize.format(free) + " of free disk space (" + free + " bytes)",
          "at least " + ByteSize.format(needed) + " (" + needed + " bytes) for the output",
          "free " + ByteSize.format(needed - free) + " or choose another folder");
    }
  }

  private static long present(Plan plan, Path output) throws IOException {
    long bytes = 0;
    for (TargetPlan target : plan.targets()) {
      for (TargetPlan.Shard shard : target.shards()) {
        Path file = output.resolve(target.folder()).resolve(shard.name());
        if (Files.isRegularFile(file) && Files.size(file) == shard.layout().fileSize()) {
          bytes += shard.layout().fileSize();
        }
      }
    }
    return bytes;
  }
}
