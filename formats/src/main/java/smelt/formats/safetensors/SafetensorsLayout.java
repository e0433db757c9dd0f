package smelt.formats.safetensors;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import smelt.formats.ElementType;
import smelt.formats.Shape;

/// Where every byte of a safetensors file will lie, known before one is written. Pure computation:
/// the same tensors and metadata give the same header, whatever order they come in.
///
/// Tensors are ordered as the reference implementation orders them: by type, descending in the
/// order of [ElementType], then by name, ascending by UTF-8 bytes. The header is compact JSON,
/// metadata first with sorted keys, padded with spaces so that the data starts at a multiple of 8.
/// As the widest types come first, every tensor is aligned to its type.
public final class SafetensorsLayout {

  /// A tensor to be written.
  public record Tensor(String name, ElementType type, Shape shape) {

    public Tensor {
      if (name.isEmpty() || name.equals(SafetensorsHeader.METADATA)) {
        throw new IllegalArgumentException("no tensor can be named '" + name + "'");
      }
    }
  }

  private static final Comparator<Tensor> ORDER =
      Comparator.comparing(Tensor::type, Comparator.reverseOrder())
          .thenComparing(Tensor::name, SafetensorsLayout::compareAsUtf8);

  private final List<TensorEntry> tensors;
  private final Map<String, TensorEntry> byName;
  private final byte[] header;
  private final long dataBytes;

  private SafetensorsLayout(List<TensorEntry> tensors, byte[] header) {
    this.tensors = List.copyOf(tensors);
    this.header = header;
    this.dataBytes = tensors.isEmpty() ? 0 : tensors.getLast().end();
    this.byName = HashMap.newHashMap(tensors.size());
    for (TensorEntry tensor : tensors) {
      if (byName.put(tensor.name(), tensor) != null) {
        throw new IllegalArgumentException("two tensors are named '" + tensor.name() + "'");
      }
    }
  }

  /// Lays out a file.
  ///
  /// @param tensors in any order, names distinct
  /// @param metadata in any order; left out when empty
  /// @throws IllegalArgumentException if a name occurs twice, a size is impossible, or the header
  ///   would be longer than the format allows
  public static SafetensorsLayout of(Collection<Tensor> tensors, Map<String, String> metadata) {
    List<TensorEntry> entries = new ArrayList<>(tensors.size());
    long end = 0;
    for (Tensor tensor : tensors.stream().sorted(ORDER).toList()) {
      long begin = end;
      try {
        end = Math.addExact(begin, tensor.shape().bytes(tensor.type()));
      } catch (ArithmeticException e) {
        throw new IllegalArgumentException("tensor '" + tensor.name() + "': " + e.getMessage(), e);
      }
      entries.add(new TensorEntry(tensor.name(), tensor.type(), tensor.shape(), begin, end));
    }
    byte[] header = withLength(HeaderText.of(entries, metadata));
    Math.addExact(end, (long) header.length);
    return new SafetensorsLayout(entries, header);
  }

  /// Orders text as its UTF-8 bytes would be, which is by code point. UTF-16 differs from it only
  /// in that surrogates (code points above 0xFFFF) come before 0xE000 to 0xFFFF.
  static int compareAsUtf8(String a, String b) {
    int common = Math.min(a.length(), b.length());
    for (int i = 0; i < common; i++) {
      char x = a.charAt(i);
      char y = b.charAt(i);
      if (x != y) {
        return Integer.compare(utf8Rank(x), utf8Rank(y));
      }
    }
    return Integer.compare(a.length(), b.length());
  }

  private static int utf8Rank(char c) {
    return Character.isSurrogate(c) ? c + 0x10000 : c;
  }

  private static byte[] withLength(byte[] json) {
    int padded = Math.ceilDiv(json.length, 8) * 8;
    if (padded > SafetensorsHeader.MAX_HEADER_BYTES) {
      throw new IllegalArgumentException(
          "a header of " + padded + " bytes is longer than the format's 100,000,000");
    }
    byte[] header = new byte[SafetensorsHeader.LENGTH_BYTES + padded];
    ByteBuffer out = ByteBuffer.wrap(header).order(ByteOrder.LITTLE_ENDIAN);
    out.putLong(padded).put(json);
    Arrays.fill(header, out.position(), header.length, (byte) ' ');
    return header;
  }

  /// The file's first bytes: length field, JSON, padding. Data follows at once.
  public byte[] header() {
    return header.clone();
  }

  /// Size of the whole file in bytes.
  public long fileSize() {
    return header.length + dataBytes;
  }

  /// All tensors in file order.
  public List<TensorEntry> tensors() {
    return tensors;
  }

  /// A tensor by its name.
  ///
  /// @throws NoSuchElementException if the file holds no such tensor
  public TensorEntry entry(String name) {
    TensorEntry entry = byName.get(name);
    if (entry == null) {
      throw new NoSuchElementException("no tensor '" + name + "' in this layout");
    }
    return entry;
  }

  /// A tensor's first byte in the file.
  public long offset(TensorEntry tensor) {
    return header.length + tensor.begin();
  }
}
