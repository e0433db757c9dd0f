package smelt.verify;

import java.io.IOException;
import java.util.List;
import smelt.formats.source.ModelSource;

/// `manifest.json`, which Smelt writes beside each result: every file and tensor with its digest,
/// and where each source tensor went. See [Json] for how strictly it is read.
record Manifest(
    String format,
    String smelt,
    String target,
    Source source,
    List<FileEntry> files,
    List<Tensor> tensors,
    List<Dropped> dropped) {

  static final String NAME = "manifest.json";
  static final String FORMAT = "smelt-manifest/1";
  private static final long LIMIT = 256L << 20;

  /// @param names_sha256 SHA-256 of all source tensor names, sorted bytewise, each with a newline
  record Source(String architecture, long tensors, long bytes, String names_sha256) {}

  /// @param sha256 of the whole file, in lower-case hexadecimal
  record FileEntry(String name, long bytes, String sha256) {}

  /// @param offset first byte, from the start of the file
  /// @param crc32c of the tensor's bytes, eight hexadecimal digits
  /// @param how `converted` or `copied`
  /// @param from the source tensors that it was made of
  record Tensor(
      String name,
      String type,
      List<Long> shape,
      String file,
      long offset,
      long bytes,
      String crc32c,
      String how,
      List<String> from) {}

  record Dropped(String name, String reason) {}

  Manifest {
    if (!format.equals(FORMAT)) {
      throw new IllegalArgumentException("format '" + format + "', not " + FORMAT);
    }
    files = List.copyOf(files);
    tensors = List.copyOf(tensors);
    dropped = List.copyOf(dropped);
  }

  static Document<Manifest> read(ModelSource source) throws IOException {
    return Json.readBytes(
        source, NAME, LIMIT, bytes -> Json.MAPPER.readValue(bytes, Manifest.class));
  }
}
