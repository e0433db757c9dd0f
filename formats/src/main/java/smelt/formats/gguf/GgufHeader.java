package smelt.formats.gguf;

import java.io.IOException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import smelt.formats.source.ByteSource;

/// What stands in front of the data of a GGUF file, checked against the file's size.
///
/// @param version 2 or 3, which differ in nothing that is read here
/// @param metadata in the order of the file
/// @param tensors in the order of the file, which is the order of their data
/// @param alignment bytes; every tensor begins at a multiple of it
/// @param dataStart first byte of the data section
/// @param fileSize in bytes
public record GgufHeader(
    int version,
    SequencedMap<String, GgufValue> metadata,
    List<GgufTensor> tensors,
    long alignment,
    long dataStart,
    long fileSize) {

  public GgufHeader {
    metadata = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(metadata));
    tensors = List.copyOf(tensors);
  }

  /// Reads and checks the header of a file.
  ///
  /// Stricter than the format, as strict as llama.cpp and in places stricter: keys and names are
  /// distinct, not empty, UTF-8 without NUL; no array holds arrays; dimensions are positive;
  /// tensors lie in the order of the list, each at the padded sum of the sizes before it, and the
  /// last padding ends the file. Every count and length is compared with the bytes that are left
  /// before anything is allocated for it, and the header as a whole has a limit.
  ///
  /// @throws smelt.formats.BadInputException if anything of this does not hold, naming the byte
  public static GgufHeader read(ByteSource file) throws IOException {
    return new HeaderReader(file).read();
  }

  /// A value of the metadata.
  public Optional<GgufValue> value(String key) {
    return Optional.ofNullable(metadata.get(key));
  }

  /// Which part of a split model the file is; empty when it is all of one.
  public Optional<GgufSplit> split() {
    return GgufSplit.of(metadata);
  }

  /// A tensor's first byte in the file.
  public long offset(GgufTensor tensor) {
    return dataStart + tensor.offset();
  }
}
