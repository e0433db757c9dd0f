package smelt.converter.plan;

import java.io.IOException;
import java.io.OutputStream;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import smelt.converter.recipe.TargetSpec;

/// Everything that one target's folder will hold.
///
/// @param folder the target's folder inside the output, empty when it is the output itself
/// @param shards in the units' order; at most one for a unit, none where the unit has nothing for
///   this target
/// @param smallFiles everything but shards and manifest, with their bytes
/// @param listing the file that tells a runtime of the others, where it wants one
/// @param dropped source tensors that this target has no use for, each with the reason
/// @param leftOut source files that do not come along to this target, each with the reason
/// @param notes what else there is to know, as sentences
/// @param manifestBytes size of `manifest.json`, whose digests are known only in the end
public record TargetPlan(
    TargetSpec spec,
    String folder,
    List<Shard> shards,
    List<SmallFile> smallFiles,
    Optional<Listing> listing,
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

  /// A file that holds digests of the others: its size is known to the plan, its bytes are when all
  /// others are written.
  public interface Listing {

    /// The path within the target's folder.
    String name();

    /// Its size, whatever the digests.
    long bytes();

    /// @param sha256 the digest of a file of the target by its name, as lower-case hex
    /// @param out not closed
    void write(UnaryOperator<String> sha256, OutputStream out) throws IOException;
  }

  /// One shard, laid out to the byte.
  ///
  /// @param unit index of the unit that it holds
  /// @param name of its file, or of the folder that is the root of its tree and of all others
  /// @param constants bytes of the tensors that are made of no weight, by name
  public record Shard(
      int unit, String name, ShardLayout layout, SortedMap<String, byte[]> constants) {

    /// A shard whose tensors are all made of weights.
    public Shard(int unit, String name, ShardLayout layout) {
      this(unit, name, layout, new TreeMap<>());
    }

    /// Its files, by their paths within the target's folder.
    public List<ShardLayout.UnitFile> files() {
      return switch (layout) {
        case ShardLayout.Safetensors _, ShardLayout.Gguf _ ->
            List.of(new ShardLayout.UnitFile(name, layout.fileSize()));
        case ShardLayout.Tree tree ->
            tree.tensors().values().stream()
                .map(
                    leaf -> new ShardLayout.UnitFile(name + "/" + leaf.path(), leaf.part().bytes()))
                .toList();
      };
    }

    /// The file that holds a tensor, by its path within the target's folder.
    public String file(String tensor) {
      return switch (layout) {
        case ShardLayout.Safetensors _, ShardLayout.Gguf _ -> name;
        case ShardLayout.Tree tree -> name + "/" + tree.leaf(tensor).path();
      };
    }
  }

  /// The shard of a unit, if there is one.
  ///
  /// @param unit index of the unit in the plan
  public Optional<Shard> shard(int unit) {
    return shards.stream().filter(shard -> shard.unit() == unit).findFirst();
  }

  TargetPlan withSmallFiles(List<SmallFile> files) {
    return new TargetPlan(
        spec, folder, shards, files, listing, dropped, leftOut, notes, manifestBytes);
  }

  TargetPlan withManifestBytes(long bytes) {
    return new TargetPlan(
        spec, folder, shards, smallFiles, listing, dropped, leftOut, notes, bytes);
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

  /// Number of files of the folder.
  public long files() {
    long files = 1 + smallFiles.size() + listing.stream().count();
    for (Shard shard : shards) {
      files += shard.files().size();
    }
    return files;
  }

  /// Bytes of all files of the folder.
  public long bytes() {
    long total = Math.addExact(manifestBytes, listing.map(Listing::bytes).orElse(0L));
    for (Shard shard : shards) {
      total = Math.addExact(total, shard.layout().fileSize());
    }
    for (SmallFile file : smallFiles) {
      total = Math.addExact(total, file.bytes().length);
    }
    return total;
  }
}
