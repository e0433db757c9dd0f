package smelt.formats.gguf;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.SequencedMap;

/// Where every byte of a GGUF file will lie, known before one is written. Pure computation: the
/// same metadata and tensors, in the same order, give the same header.
///
/// | bytes | what |
/// |---|---|
/// | 4 | `GGUF` |
/// | 4 | version 3 |
/// | 8, 8 | number of tensors, number of metadata entries |
/// | per entry | key; kind of the value; value |
/// | per tensor | name; number of dimensions; dimensions (8 each); type; offset in the data (8) |
/// | | zeros up to a multiple of the alignment |
/// | per tensor | data; zeros up to a multiple of the alignment |
///
/// A text is its length (8) and UTF-8; all numbers are little-endian, counts and lengths 8 bytes,
/// everything else that has no width above 4. Every tensor, the last one too, is followed by its
/// padding: llama.cpp expects each offset to be the padded sum of the sizes before it.
public final class GgufLayout {

  /// Version of the format that is written.
  public static final int VERSION = 3;

  /// The key of an alignment other than the default.
  public static final String ALIGNMENT_KEY = "general.alignment";

  /// The alignment of files that say nothing else.
  public static final int ALIGNMENT = 32;

  static final int LEAST_ALIGNMENT = 8;
  static final long MAX_ALIGNMENT = 1 << 20;

  /// A tensor to be written; see [GgufTensor] for its parts.
  public record Tensor(String name, GgmlType type, List<Long> dims) {

    public Tensor {
      dims = List.copyOf(dims);
    }
  }

  private final List<GgufTensor> tensors;
  private final Map<String, GgufTensor> byName;
  private final byte[] header;
  private final long dataBytes;
  private final long alignment;

  private GgufLayout(List<GgufTensor> tensors, byte[] header, long dataBytes, long alignment) {
    this.tensors = List.copyOf(tensors);
    this.alignment = alignment;
    this.header = header;
    this.dataBytes = dataBytes;
    byName = HashMap.newHashMap(tensors.size());
    for (GgufTensor tensor : tensors) {
      if (byName.put(tensor.name(), tensor) != null) {
        throw new IllegalArgumentException("two tensors are named '" + tensor.name() + "'");
      }
    }
  }

  /// Lays out a file.
  ///
  /// @param metadata in the order of the file; an alignment in it holds
  /// @param tensors in the order of the file, names distinct
  /// @throws IllegalArgumentException if a name, key, alignment, number of dimensions or size is
  ///   impossible
  public static GgufLayout of(SequencedMap<String, GgufValue> metadata, List<Tensor> tensors) {
    long alignment = alignment(metadata);
    List<GgufTensor> entries = new ArrayList<>(tensors.size());
    long end = 0;
    for (Tensor tensor : tensors) {
      try {
        GgufTensor entry = new GgufTensor(tensor.name(), tensor.type(), tensor.dims(), end);
        end = padded(Math.addExact(end, entry.bytes()), alignment);
        entries.add(entry);
      } catch (ArithmeticException e) {
        throw new IllegalArgumentException("tensor '" + tensor.name() + "': " + e.getMessage(), e);
      }
    }
    byte[] header = HeaderEncoder.encode(metadata, entries, alignment);
    Math.addExact(end, (long) header.length);
    return new GgufLayout(entries, header, end, alignment);
  }

  /// The alignment that a file's metadata asks for.
  ///
  /// @throws IllegalArgumentException if it is no power of two from 8 to 1 MiB, or no U32
  public static long alignment(SequencedMap<String, GgufValue> metadata) {
    GgufValue value = metadata.get(ALIGNMENT_KEY);
    if (value == null) {
      return ALIGNMENT;
    }
    if (value instanceof GgufValue.U32(long alignment)
        && alignment >= LEAST_ALIGNMENT
        && alignment <= MAX_ALIGNMENT
        && Long.bitCount(alignment) == 1) {
      return alignment;
    }
    String found = value instanceof GgufValue.Array ? "an array" : value.toString();
    throw new IllegalArgumentException(ALIGNMENT_KEY + " = " + found);
  }

  /// The next multiple of an alignment.
  ///
  /// @throws ArithmeticException if it is beyond a long
  public static long padded(long bytes, long alignment) {
    return Math.addExact(bytes, alignment - 1) / alignment * alignment;
  }

  /// Bytes that a tensor takes in the list of the header.
  public static long listedBytes(Tensor tensor) {
    return 8L + tensor.name().getBytes(UTF_8).length + 4 + 8L * tensor.dims().size() + 4 + 8;
  }

  /// The file's first bytes, up to the data.
  public byte[] header() {
    return header.clone();
  }

  /// Size of the header.
  public long headerBytes() {
    return header.length;
  }

  /// Size of the whole file in bytes.
  public long fileSize() {
    return header.length + dataBytes;
  }

  /// All tensors in file order.
  public List<GgufTensor> tensors() {
    return tensors;
  }

  /// A tensor by its name.
  ///
  /// @throws NoSuchElementException if the file holds no such tensor
  public GgufTensor tensor(String name) {
    GgufTensor tensor = byName.get(name);
    if (tensor == null) {
      throw new NoSuchElementException("no tensor '" + name + "' in this layout");
    }
    return tensor;
  }

  /// A tensor's first byte in the file.
  public long offset(GgufTensor tensor) {
    return header.length + tensor.offset();
  }

  /// Bytes of zeros behind a tensor.
  public long padding(GgufTensor tensor) {
    return padded(tensor.bytes(), alignment) - tensor.bytes();
  }
}
