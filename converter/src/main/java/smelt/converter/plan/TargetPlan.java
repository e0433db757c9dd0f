package smelt.converter.plan;

import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import smelt.converter.recipe.TargetSpec;

/// Everything that one target's folder will hold.
///
/// @param folder the target's folder inside the output, empty when it is the output itself
/// @param shards in the units' order; at most one for a unit, none where the unit has nothing for
///   this target
/// @param smallFiles everything but shards and manifest, with their bytes
/// @param dropped source tensors that this target has no use for, each with the reason
/// @param leftOut source files that do not come along to this target, each with the reason
/// @param notes what else there is to know, as sentences
/// @param manifestBytes size of `manifest.json`, whose digests are known only in the end
public record TargetPlan(
    TargetSpec spec,
    String folder,
    List<Shard> shards,
    List<SmallFile> smallFiles,
    List<Plan.Dropped> dropped,
    List<Plan.Dropped> leftOut,
    List<String> notes,
    long manifestBytes) {

  public static final String MANIFEST = "manifest.json";

  public TargetPlan {
    shards = List.copyOf(shards);
    smallFiles = List.copyOf(smallFiles);
    dropped = List.copyOf(dropped);
    leftOut = List.copyOf(leftOut);
    notes = List.copyOf(notes);
  }

  /// One shard, laid out to the byte.
  ///
  /// @param unit index of the unit that it holds
  /// @param constants bytes of the tensors that are made of no weight, by name
  public record Shard(
      int unit, String name, ShardLayout layout, SortedMap<String, byte[]> constants) {

    /// A shard whose tensors are all made of weights.
    public Shard(int unit, String name, ShardLayout layout) {
      this(unit, name, layout, new TreeMap<>());
    }
  }

  /// The shard of a unit, if there is one.
  ///
  /// @param unit index of the unit in the plan
  public Optional<Shard> shard(int unit) {
    return shards.stream().filter(shard -> shard.unit() == unit).findFirst();
  }

  TargetPlan withManifestBytes(long bytes) {
    return new TargetPlan(spec, folder, shards, smallFiles, dropped, leftOut, notes, bytes);
  }

  /// A small file whose bytes the plan already knows: config, index, description, and the source's
  /// side files, which are carried as they are.
  public static final class SmallFile {
    private final String name;
    private final byte[] bytes;
    private final String from;

    /// @param bytes not changed afterwards
    /// @param from the source's file for a carried one, empty for a made one
    SmallFile(String name, byte[] bytes, String from) {
      this.name = name;
      this.bytes = bytes;
      this.from = from;
    }

    public String name() {
      return name;
    }

    /// The whole content; not to be changed.
    public byte[] bytes() {
      return bytes;
    }

    /// The source's file for a carried one, empty for a made one.
    public String from() {
      return from;
    }
  }

  /// Bytes of all files of the folder.
  public long bytes() {
    long total = manifestBytes;
    for (Shard shard : shards) {
      total = Math.addExact(total, shard.layout().fileSize());
    }
    for (SmallFile file : smallFiles) {
      total = Math.addExact(total, file.bytes().length);
    }
    return total;
  }
}
