package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import smelt.converter.plan.ShardLayout;
import smelt.converter.plan.TargetPlan;

/// One shard being written. Tiles arrive from several threads in any order, each at its planned
/// offset; when all are there, one thread seals the shard.
///
/// The checksum of every tensor is made twice: from the tiles in memory as they are written, and
/// from the disk as it is read back. They must agree before the shard gets its name.
sealed interface ShardWriter extends AutoCloseable permits FileShard, TreeShard {

  /// Starts the shard in the target's folder, which must exist.
  static ShardWriter create(Path folder, TargetPlan.Shard shard, DiskForcer disk)
      throws IOException {
    return switch (shard.layout()) {
      case ShardLayout.Safetensors _, ShardLayout.Gguf _ -> FileShard.create(folder, shard, disk);
      case ShardLayout.Tree tree -> TreeShard.create(folder, shard, tree, disk);
    };
  }

  /// Writes part of a tensor.
  ///
  /// @param offset first byte, from the start of the tensor
  /// @param bytes native segment
  void write(String tensor, long offset, MemorySegment bytes) throws IOException;

  /// Forces the shard to disk, reads it back, compares, and gives it its name.
  ///
  /// @param target index of the target in the plan
  /// @throws IOException if the disk does not hold what was written; the shard is discarded
  Receipt.ShardDigest seal(int target) throws IOException;

  /// Removes the unfinished shard; does nothing once it was sealed.
  @Override
  void close() throws IOException;

  /// A tensor that reads back as something else.
  static IOException unequal(Path file, String tensor, String found, String written) {
    return new IOException(
        file
            + ": tensor "
            + tensor
            + " reads back as "
            + found
            + " but "
            + written
            + " was written; check the disk and the memory of this machine");
  }
}
