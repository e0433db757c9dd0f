package smelt.converter.onepass;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.SourceFiles;

/// A model of which one [Part] at a time lies in memory, and beside it the rest of the layer; where
/// factors need all experts of a layer at once, all of them are one part. The first read inside a
/// part reads all of it from the source; what is read of it then, by whomever and however often,
/// comes from memory, until something of another part is read.
///
/// Safe for several threads. They gain by it as long as they work on one part.
public final class HeldParts implements ModelSource {

  private static final long ALIGNMENT = 64;

  /// What is in memory together.
  ///
  /// @param experts whether all experts of a layer, the shared one too, are one part
  /// @param others whether everything else of a layer stays until the next layer, as does a shared
  ///   expert that is no part of them
  public record Holding(boolean experts, boolean others) {

    /// One expert of a layer at a time, or its attention.
    static final Holding PARTS = new Holding(false, false);

    /// All experts of a layer, or its attention.
    static final Holding LAYERS = new Holding(true, false);

    Part of(Weight weight) {
      Part part = experts ? Part.withItsLayer(Part.of(weight)) : Part.of(weight);
      return others ? Part.withTheRest(part) : part;
    }
  }

  private final ModelSource source;
  private final SourceFiles files;
  private final Map<Part, Contents> parts = new HashMap<>();
  private final Map<String, TreeMap<Long, Place>> places = new HashMap<>();
  private final LongAdder bytesRead = new LongAdder();
  private final Arena arena = Arena.ofShared();
  private final Slot current;
  private final Slot rest;

  /// Where a tensor lies: in its file, and in the memory of its part.
  private record Place(SourceTensor tensor, Part part, long at) {}

  /// The tensors of a part, and the memory that they take.
  private static final class Contents {
    final List<Place> places = new ArrayList<>();
    long bytes;

    Place add(SourceTensor tensor, Part part) {
      Place place = new Place(tensor, part, bytes);
      places.add(place);
      bytes = Math.addExact(bytes, aligned(tensor.bytes()));
      return place;
    }
  }

  /// @param source stays open as long as this, and is closed by its owner
  /// @param checkpoint opened from it
  public HeldParts(ModelSource source, Checkpoint checkpoint, Holding holding) {
    this.source = source;
    files = new SourceFiles(source);
    for (Weight weight : checkpoint.weights()) {
      Part part = holding.of(weight);
      add(weight.codes(), part);
      weight.scale().ifPresent(scale -> add(scale, part));
    }
    current = new Slot(arena.allocate(Math.max(1, mostBytes(parts, false)), ALIGNMENT));
    rest = new Slot(arena.allocate(Math.max(1, mostBytes(parts, true)), ALIGNMENT));
  }

  private void add(SourceTensor tensor, Part part) {
    Place place = parts.computeIfAbsent(part, _ -> new Contents()).add(tensor, part);
    if (tensor.bytes() > 0) {
      places.computeIfAbsent(tensor.file(), _ -> new TreeMap<>()).put(tensor.offset(), place);
    }
  }

  private static long mostBytes(Map<Part, Contents> parts, boolean ofRest) {
    return parts.entrySet().stream()
        .filter(entry -> isRest(entry.getKey()) == ofRest)
        .mapToLong(entry -> entry.getValue().bytes)
        .max()
        .orElse(0);
  }

  private static boolean isRest(Part part) {
    return part instanceof Part.Rest || part instanceof Part.FinalNorm;
  }

  private static long aligned(long bytes) {
    return Math.addExact(bytes, ALIGNMENT - 1) & -ALIGNMENT;
  }

  /// Bytes of memory that a model's parts take: those of the largest, and of the largest rest of a
  /// layer.
  static long bytes(Checkpoint checkpoint, Holding holding) {
    Map<Part, Contents> parts = new HashMap<>();
    for (Weight weight : checkpoint.weights()) {
      Part part = holding.of(weight);
      Contents contents = parts.computeIfAbsent(part, _ -> new Contents());
      contents.add(weight.codes(), part);
      weight.scale().ifPresent(scale -> contents.add(scale, part));
    }
    return Math.addExact(mostBytes(parts, false), mostBytes(parts, true));
  }

  /// Bytes of tensors read from the source so far; those that are read again count again.
  public long bytesRead() {
    return bytesRead.sum();
  }

  /// Memory for one part, and which one lies there.
  private final class Slot {
    private final MemorySegment memory;
    private final ReadWriteLock lock = new ReentrantReadWriteLock();
    private Part held;

    Slot(MemorySegment memory) {
      this.memory = memory;
    }

    void read(Place place, long within, MemorySegment into) throws IOException {
      while (!copied(place, within, into)) {
        load(place.part());
      }
    }

    private boolean copied(Place place, long within, MemorySegment into) {
      lock.readLock().lock();
      try {
        if (!place.part().equals(held)) {
          return false;
        }
        into.copyFrom(memory.asSlice(place.at() + within, into.byteSize()));
        return true;
      } finally {
        lock.readLock().unlock();
      }
    }

    private void load(Part part) throws IOException {
      lock.writeLock().lock();
      try {
        if (part.equals(held)) {
          return;
        }
        held = null;
        for (Place place : parts.get(part).places) {
          SourceTensor tensor = place.tensor();
          files
              .file(tensor.file())
              .read(tensor.offset(), memory.asSlice(place.at(), tensor.bytes()));
          bytesRead.add(tensor.bytes());
        }
        held = part;
      } finally {
        lock.writeLock().unlock();
      }
    }
  }

  /// A file of the source, whose weights come from memory.
  private final class File implements ByteSource {
    private final ByteSource origin;
    private final NavigableMap<Long, Place> own;

    File(ByteSource origin, NavigableMap<Long, Place> own) {
      this.origin = origin;
      this.own = own;
    }

    @Override
    public String name() {
      return origin.name();
    }

    @Override
    public long size() {
      return origin.size();
    }

    @Override
    public void read(long offset, MemorySegment into) throws IOException {
      Objects.checkFromIndexSize(offset, into.byteSize(), size());
      Map.Entry<Long, Place> before = own.floorEntry(offset);
      if (before != null) {
        Place place = before.getValue();
        long within = offset - place.tensor().offset();
        if (Math.addExact(within, into.byteSize()) <= place.tensor().bytes()) {
          (isRest(place.part()) ? rest : current).read(place, within, into);
          return;
        }
      }
      origin.read(offset, into);
      bytesRead.add(into.byteSize());
    }

    @Override
    public void checkUnchanged() throws IOException {
      origin.checkUnchanged();
    }

    /// The file stays open for the parts to come.
    @Override
    public void close() {}
  }

  @Override
  public String location() {
    return source.location();
  }

  @Override
  public List<String> names() {
    return source.names();
  }

  @Override
  public ByteSource open(String name) throws IOException {
    TreeMap<Long, Place> own = places.get(name);
    return own == null ? source.open(name) : new File(files.file(name), own);
  }

  @Override
  public String stamp(String name) throws IOException {
    return source.stamp(name);
  }

  @Override
  public byte[] readSmall(String name, long limit) throws IOException {
    return source.readSmall(name, limit);
  }

  /// Refuses to go on when a file that was read has changed.
  ///
  /// @throws smelt.formats.BadInputException if one was
  public void checkUnchanged() throws IOException {
    files.checkUnchanged();
  }

  /// Gives the memory back; the source stays open.
  @Override
  public void close() throws IOException {
    try (arena) {
      files.close();
    }
  }
}
