package smelt.converter.plan;

import java.util.List;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.target.TargetFormat;
import smelt.formats.safetensors.SafetensorsLayout;

/// Everything that one target's folder will hold.
///
/// @param folder the target's folder inside the output, empty when it is the output itself
/// @param shards one for each unit, in the units' order
/// @param smallFiles everything but shards and manifest, with their bytes
/// @param manifestBytes size of `manifest.json`, whose digests are known only in the end
public record TargetPlan(
    TargetSpec spec,
    TargetFormat format,
    String folder,
    List<Shard> shards,
    List<SmallFile> smallFiles,
    long manifestBytes) {

  public static final String MANIFEST = "manifest.json";

  public TargetPlan {
    shards = List.copyOf(shards);
    smallFiles = List.copyOf(smallFiles);
  }

  /// One shard, laid out to the byte.
  public record Shard(String name, SafetensorsLayout layout) {}

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
