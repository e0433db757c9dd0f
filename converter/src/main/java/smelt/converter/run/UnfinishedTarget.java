package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import smelt.converter.plan.ShardLayout;
import smelt.converter.plan.TargetPlan;
import smelt.formats.BadInputException;
import smelt.formats.files.AtomicFile;
import smelt.formats.files.AtomicFolder;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// A target as a model while it is being written. Small files, headers of shards and tensors that
/// are made of no weight come from the plan; all else comes from the files of the shards, whether
/// they are complete or not.
///
/// Until [#begin] nothing is read from the disk: what the plan does not know is zeros. From then on
/// a file that was not begun cannot be read; what is not written yet of others is zeros.
public final class UnfinishedTarget implements ModelSource {

  /// Read at once; a buffer has no more.
  private static final long CHUNK = 1L << 30;

  private static final SortedMap<Long, byte[]> NOTHING =
      Collections.unmodifiableSortedMap(new TreeMap<>());

  private final Path folder;
  private final SortedMap<String, Planned> files = new TreeMap<>();
  private volatile boolean begun;

  /// A file of the plan.
  ///
  /// @param name within the target's folder
  /// @param size in bytes
  /// @param known what the plan has of it, by place in the file
  /// @param tree of which it is; empty for a file by itself
  private record Planned(
      String name, long size, SortedMap<Long, byte[]> known, Optional<InTree> tree) {

    FileChannel open(Path folder) throws IOException {
      if (tree.isEmpty()) {
        return AtomicFile.openAsItIs(folder.resolve(name));
      }
      ShardLayout.Tree.Leaf leaf = tree.get().leaf();
      Path written = folder.resolve(tree.get().root()).resolve(leaf.folder());
      return AtomicFolder.openAsItIs(written, leaf.inFolder());
    }
  }

  /// @param root the tree's folder in the target's
  private record InTree(String root, ShardLayout.Tree.Leaf leaf) {}

  /// @param folder the target's
  public UnfinishedTarget(Path folder, TargetPlan target) {
    this.folder = folder;
    for (TargetPlan.SmallFile file : target.smallFiles()) {
      add(file.name(), file.bytes().length, knownFrom(file.bytes()));
    }
    for (TargetPlan.Shard shard : target.shards()) {
      switch (shard.layout()) {
        case ShardLayout.Safetensors _, ShardLayout.Gguf _ ->
            add(shard.name(), shard.layout().fileSize(), known(shard));
        case ShardLayout.Tree tree -> add(shard.name(), tree);
      }
    }
  }

  private void add(String name, long size, SortedMap<Long, byte[]> known) {
    files.put(name, new Planned(name, size, known, Optional.empty()));
  }

  private void add(String root, ShardLayout.Tree tree) {
    for (ShardLayout.Tree.Leaf leaf : tree.tensors().values()) {
      String name = root + "/" + leaf.path();
      Optional<InTree> inTree = Optional.of(new InTree(root, leaf));
      files.put(name, new Planned(name, leaf.part().bytes(), NOTHING, inTree));
    }
  }

  /// From now on files are read as far as they are written: the output folder is the caller's.
  public void begin() {
    begun = true;
  }

  private static SortedMap<Long, byte[]> known(TargetPlan.Shard shard) {
    SortedMap<Long, byte[]> known = knownFrom(shard.layout().header());
    shard
        .constants()
        .forEach((name, bytes) -> known.put(shard.layout().part(name).offset(), bytes));
    return known;
  }

  private static SortedMap<Long, byte[]> knownFrom(byte[] start) {
    SortedMap<Long, byte[]> known = new TreeMap<>();
    known.put(0L, start);
    return known;
  }

  @Override
  public String location() {
    return folder.toString();
  }

  @Override
  public List<String> names() {
    return List.copyOf(files.keySet());
  }

  @Override
  public ByteSource open(String name) throws IOException {
    return new File(planned(name));
  }

  private Planned planned(String name) throws NoSuchFileException {
    Planned planned = files.get(name);
    if (planned == null) {
      throw new NoSuchFileException(folder + ": " + name);
    }
    return planned;
  }

  @Override
  public String stamp(String name) throws IOException {
    return planned(name).size() + " bytes, being written";
  }

  @Override
  public byte[] readSmall(String name, long limit) throws IOException {
    Planned planned = planned(name);
    byte[] bytes = planned.known().getOrDefault(0L, new byte[0]);
    if (bytes.length < planned.size()) {
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

  /// Opened when something is read that the plan does not know.
  private final class File implements ByteSource {

    private final Planned planned;
    private Optional<FileChannel> written = Optional.empty();

    File(Planned planned) {
      this.planned = planned;
    }

    @Override
    public String name() {
      return planned.name();
    }

    @Override
    public long size() {
      return planned.size();
    }

    @Override
    public void read(long offset, MemorySegment into) throws IOException {
      Objects.checkFromIndexSize(offset, into.byteSize(), planned.size());
      long end = offset + into.byteSize();
      long known = 0;
      for (Map.Entry<Long, byte[]> span : planned.known().headMap(end).entrySet()) {
        known += overlap(span, offset, end);
      }
      if (known < into.byteSize()) {
        fill(offset, into);
      }
      for (Map.Entry<Long, byte[]> span : planned.known().headMap(end).entrySet()) {
        long count = overlap(span, offset, end);
        if (count > 0) {
          long first = Math.max(offset, span.getKey());
          MemorySegment.copy(
              MemorySegment.ofArray(span.getValue()),
              first - span.getKey(),
              into,
              first - offset,
              count);
        }
      }
    }

    private static long overlap(Map.Entry<Long, byte[]> span, long offset, long end) {
      long first = Math.max(offset, span.getKey());
      return Math.max(0, Math.min(end, span.getKey() + span.getValue().length) - first);
    }

    private void fill(long offset, MemorySegment into) throws IOException {
      if (!begun) {
        into.fill((byte) 0);
        return;
      }
      FileChannel channel = channel();
      long done = 0;
      while (done < into.byteSize()) {
        long length = Math.min(CHUNK, into.byteSize() - done);
        ByteBuffer buffer = into.asSlice(done, length).asByteBuffer();
        int count = channel.read(buffer, offset + done);
        if (count < 0) {
          throw new IOException(folder + ": " + name() + " ends at byte " + (offset + done));
        }
        done += count;
      }
    }

    private synchronized FileChannel channel() throws IOException {
      if (written.isEmpty()) {
        written = Optional.of(planned.open(folder));
      }
      return written.get();
    }

    /// It changes as long as it is being written.
    @Override
    public void checkUnchanged() {}

    @Override
    public synchronized void close() throws IOException {
      if (written.isPresent()) {
        written.get().close();
      }
    }
  }
}
