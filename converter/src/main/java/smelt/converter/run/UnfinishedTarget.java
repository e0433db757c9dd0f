package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import smelt.converter.plan.ShardLayout;
import smelt.converter.plan.TargetPlan;
import smelt.formats.BadInputException;
import smelt.formats.files.AtomicFile;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// A target as a model while it is being written. Small files and the headers of shards come from
/// the plan; data of a shard comes from its file, whether that is complete or not. Reading what is
/// not written yet gives zeros, or fails where the file was not begun.
///
/// Trees of files are left out: this is for targets whose shards are files.
public final class UnfinishedTarget implements ModelSource {

  /// Read at once; a buffer has no more.
  private static final long CHUNK = 1L << 30;

  private final Path folder;
  private final Map<String, byte[]> small = new TreeMap<>();
  private final Map<String, ShardLayout> shards = new TreeMap<>();

  /// @param folder the target's
  public UnfinishedTarget(Path folder, TargetPlan target) {
    this.folder = folder;
    for (TargetPlan.SmallFile file : target.smallFiles()) {
      small.put(file.name(), file.bytes());
    }
    for (TargetPlan.Shard shard : target.shards()) {
      switch (shard.layout()) {
        case ShardLayout.Safetensors _, ShardLayout.Gguf _ ->
            shards.put(shard.name(), shard.layout());
        case ShardLayout.Tree _ -> {}
      }
    }
  }

  @Override
  public String location() {
    return folder.toString();
  }

  @Override
  public List<String> names() {
    TreeMap<String, Object> names = new TreeMap<>(small);
    names.putAll(shards);
    return List.copyOf(names.keySet());
  }

  @Override
  public ByteSource open(String name) throws IOException {
    if (small.containsKey(name)) {
      return new Planned(name, small.get(name), small.get(name).length);
    }
    ShardLayout layout = shards.get(name);
    if (layout == null) {
      throw new NoSuchFileException(folder + ": " + name);
    }
    return new Planned(name, layout.header(), layout.fileSize());
  }

  @Override
  public String stamp(String name) throws IOException {
    try (ByteSource file = open(name)) {
      return file.size() + " bytes, being written";
    }
  }

  @Override
  public byte[] readSmall(String name, long limit) throws IOException {
    byte[] bytes = small.get(name);
    if (bytes == null) {
      throw new NoSuchFileException(folder + ": " + name);
    }
    if (bytes.length > limit) {
      throw new BadInputException(
          folder + ": " + name,
          bytes.length + " bytes",
          "at most " + limit,
          "check that the right file lies under this name");
    }
    return bytes.clone();
  }

  @Override
  public void close() {}

  /// A file whose first bytes the plan knows.
  private final class Planned implements ByteSource {

    private final String name;
    private final MemorySegment known;
    private final long size;
    private FileChannel written;

    Planned(String name, byte[] known, long size) {
      this.name = name;
      this.known = MemorySegment.ofArray(known).asReadOnly();
      this.size = size;
    }

    @Override
    public String name() {
      return name;
    }

    @Override
    public long size() {
      return size;
    }

    @Override
    public void read(long offset, MemorySegment into) throws IOException {
      Objects.checkFromIndexSize(offset, into.byteSize(), size);
      long ofPlan = Math.clamp(known.byteSize() - offset, 0, into.byteSize());
      if (ofPlan > 0) {
        into.asSlice(0, ofPlan).copyFrom(known.asSlice(offset, ofPlan));
      }
      if (ofPlan < into.byteSize()) {
        fill(offset + ofPlan, into.asSlice(ofPlan));
      }
    }

    private void fill(long offset, MemorySegment into) throws IOException {
      FileChannel channel = channel();
      long done = 0;
      while (done < into.byteSize()) {
        long length = Math.min(CHUNK, into.byteSize() - done);
        ByteBuffer buffer = into.asSlice(done, length).asByteBuffer();
        int count = channel.read(buffer, offset + done);
        if (count < 0) {
          throw new IOException(folder + ": " + name + " ends at byte " + (offset + done));
        }
        done += count;
      }
    }

    private synchronized FileChannel channel() throws IOException {
      if (written == null) {
        written = AtomicFile.openAsItIs(folder.resolve(name));
      }
      return written;
    }

    /// It changes as long as it is being written.
    @Override
    public void checkUnchanged() {}

    @Override
    public synchronized void close() throws IOException {
      if (written != null) {
        written.close();
      }
    }
  }
}
