package smelt.formats.safetensors;

import java.io.IOException;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import smelt.formats.source.ByteSource;

/// The header of a safetensors file, checked against the file's size.
///
/// | bytes | what |
/// |---|---|
/// | 8 | `N`, unsigned little-endian: length of the header, padding included |
/// | `N` | UTF-8 JSON: `{"__metadata__": {string: string}, name: {"dtype", "shape", "data_offsets"}, ...}` |
/// | rest | the data section; `data_offsets` are relative to its first byte, `8 + N` |
///
/// The tensors cover the data section without hole and without overlap, so every byte of the file
/// belongs to exactly one of them. Data need not be aligned.
///
/// @param metadata free text of the writer, sorted by key; empty when there is none
/// @param tensors by offset (first byte, then end), then name
/// @param dataStart first byte of the data section
/// @param fileSize size of the file in bytes
public record SafetensorsHeader(
    Map<String, String> metadata, List<TensorEntry> tensors, long dataStart, long fileSize) {

  /// Longest header that the format allows, in bytes.
  public static final int MAX_HEADER_BYTES = 100_000_000;

  /// Bytes of the length field before the header.
  static final int LENGTH_BYTES = 8;

  /// The name under which a header holds its metadata; no tensor may have it.
  static final String METADATA = "__metadata__";

  static final Comparator<TensorEntry> FILE_ORDER =
      Comparator.comparingLong(TensorEntry::begin)
          .thenComparingLong(TensorEntry::end)
          .thenComparing(TensorEntry::name);

  public SafetensorsHeader {
    metadata = Collections.unmodifiableMap(new TreeMap<>(metadata));
    tensors = List.copyOf(tensors);
    if (dataStart < LENGTH_BYTES || fileSize < dataStart) {
      throw new IllegalArgumentException("data from " + dataStart + " in " + fileSize + " bytes");
    }
  }

  /// Reads and checks a file's header. Nothing of the data is read, and nothing is allocated for a
  /// length that the file cannot hold.
  ///
  /// Stricter than the reference implementation: the header starts with `{`; no key occurs twice;
  /// names are neither empty nor hold control characters; a shape has at most eight dimensions.
  ///
  /// @throws smelt.formats.BadInputException naming file, tensor and offset of all that is wrong
  public static SafetensorsHeader read(ByteSource file) throws IOException {
    byte[] json = HeaderBytes.read(file);
    HeaderParser.Content content = HeaderParser.parse(file.name(), json);
    long dataStart = LENGTH_BYTES + (long) json.length;
    List<TensorEntry> sorted = content.tensors().stream().sorted(FILE_ORDER).toList();
    DataCoverage.check(file.name(), sorted, dataStart, file.size());
    return new SafetensorsHeader(content.metadata(), sorted, dataStart, file.size());
  }

  /// A tensor's first byte in the file.
  public long offset(TensorEntry tensor) {
    return Math.addExact(dataStart, tensor.begin());
  }
}
