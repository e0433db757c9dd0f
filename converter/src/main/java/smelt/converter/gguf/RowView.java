package smelt.converter.gguf;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import smelt.converter.gguf.GgufMapping.Place;
import smelt.formats.gguf.BlockDecoder;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufParts;
import smelt.formats.source.ByteSource;
import smelt.formats.source.SourceFiles;

/// A weight whose rows do not follow each other in GGUF, as a file in which they do. Slabs, which
/// are heads, are read whole; a few of all such files of a model are kept. Safe for several
/// threads.
final class RowView implements ByteSource {

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /// Slabs of a model that were read last.
  static final class Kept {

    private static final int SLABS = 16;

    private final Map<Key, MemorySegment> slabs =
        new LinkedHashMap<>(SLABS, 0.75f, true) {
          private static final long serialVersionUID = 1;

          @Override
          protected boolean removeEldestEntry(Map.Entry<Key, MemorySegment> eldest) {
            return size() > SLABS;
          }
        };

    private record Key(String file, long firstRow) {}

    /// What two threads want at a time is read twice.
    MemorySegment slab(String file, Place place, Reader reader) throws IOException {
      Key key = new Key(file, place.slab().firstRow());
      synchronized (slabs) {
        MemorySegment known = slabs.get(key);
        if (known != null) {
          return known;
        }
      }
      MemorySegment read = reader.rows(place);
      synchronized (slabs) {
        slabs.put(key, read);
      }
      return read;
    }
  }

  /// Reads the rows of a slab in the order of the weight.
  interface Reader {
    MemorySegment rows(Place place) throws IOException;
  }

  private final String name;
  private final SourceFiles files;
  private final List<Place> places;
  private final long rowBytes;
  private final long size;
  private final List<String> read;
  private final Reader reader;
  private final Kept kept;

  private RowView(
      String name,
      SourceFiles files,
      List<Place> places,
      long rowBytes,
      List<String> read,
      Reader reader,
      Kept kept) {
    this.name = name;
    this.files = files;
    this.places =
        places.stream()
            .sorted(java.util.Comparator.comparingLong(place -> place.slab().firstRow()))
            .toList();
    this.rowBytes = rowBytes;
    this.read = List.copyOf(read);
    this.reader = reader;
    this.kept = kept;
    size = Math.multiplyExact(rowBytes, places.stream().mapToLong(p -> p.slab().rows()).sum());
  }

  /// Rows of one tensor as they are encoded, in the order of the weight.
  static RowView reordered(
      String name, SourceFiles files, GgufParts.Located located, List<Place> places, Kept kept) {
    long rowBytes = located.tensor().rowBytes();
    return new RowView(
        name,
        files,
        places,
        rowBytes,
        List.of(located.file()),
        place -> {
          long rows = place.slab().rows();
          MemorySegment stored = StoredRows.read(files, located, place.tensorRow(), rows);
          MemorySegment ordered = MemorySegment.ofArray(new byte[(int) stored.byteSize()]);
          for (long row = 0; row < rows; row++) {
            long from = tensorRow(place.slab(), row);
            MemorySegment.copy(stored, from * rowBytes, ordered, row * rowBytes, rowBytes);
          }
          return ordered;
        },
        kept);
  }

  /// Where in its slab of the tensor a row of the weight lies.
  private static long tensorRow(Slab slab, long row) {
    return switch (slab.order()) {
      case PLAIN -> row;
      case HALVES_BY_TURNS -> {
        long half = slab.rows() / 2;
        yield row < half ? 2 * row : 2 * (row - half) + 1;
      }
      case TRANSPOSED -> throw new IllegalStateException("rows that are columns");
    };
  }

  /// Rows of any tensors, decoded to F32.
  static RowView decoded(
      String name,
      SourceFiles files,
      Map<String, GgufParts.Located> tensors,
      List<Place> places,
      Kept kept) {
    long cols = places.getFirst().slab().cols();
    return new RowView(
        name,
        files,
        places,
        Float.BYTES * cols,
        places.stream().map(p -> tensors.get(p.tensor().name()).file()).distinct().toList(),
        place -> {
          Slab slab = place.slab();
          GgufParts.Located located = tensors.get(place.tensor().name());
          float[] stored = values(files, located, place.tensorRow(), slab.tensorRows());
          MemorySegment ordered =
              MemorySegment.ofArray(new byte[Math.multiplyExact(stored.length, Float.BYTES)]);
          for (int row = 0; row < slab.rows(); row++) {
            for (int col = 0; col < cols; col++) {
              long from =
                  slab.order() == Slab.Order.TRANSPOSED
                      ? col * slab.rows() + row
                      : tensorRow(slab, row) * cols + col;
              ordered.set(F32, (row * cols + col) * Float.BYTES, stored[(int) from]);
            }
          }
          return ordered;
        },
        kept);
  }

  /// Rows of a tensor, decoded.
  static float[] values(SourceFiles files, GgufParts.Located located, long first, long rows)
      throws IOException {
    GgmlType type = located.tensor().type().plain();
    long cols = located.tensor().dims().getFirst();
    float[] values = new float[Math.toIntExact(Math.multiplyExact(rows, cols))];
    MemorySegment out = MemorySegment.ofArray(values);
    MemorySegment stored = StoredRows.read(files, located, first, rows);
    BlockDecoder.decode(type, stored, 0, rows, cols, out, 0);
    return values;
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
    long at = offset;
    long end = offset + into.byteSize();
    for (Place place : places) {
      long start = place.slab().firstRow() * rowBytes;
      long behind = start + place.slab().rows() * rowBytes;
      if (at < end && at >= start && at < behind) {
        long count = Math.min(end, behind) - at;
        MemorySegment slab = kept.slab(name, place, reader);
        MemorySegment.copy(slab, at - start, into, at - offset, count);
        at += count;
      }
    }
  }

  @Override
  public void checkUnchanged() throws IOException {
    for (String file : read) {
      files.file(file).checkUnchanged();
    }
  }

  /// The files stay open for other weights.
  @Override
  public void close() {}
}
