package smelt.verify;

import java.io.IOException;
import java.util.List;
import smelt.formats.source.ModelSource;

/// `kt-weight-manifest.json`, schema 2, as the runtime's validator reads it.
record KtListing(
    int schema_version,
    String state,
    String expert_weight_format,
    String layout,
    int threadpool_count,
    int expert_num,
    long hidden_size,
    long intermediate_size,
    List<Layer> layers,
    long bytes) {

  static final String NAME = "kt-weight-manifest.json";
  static final String LAYOUT = "kt-int8-n32-k64-vnni-v1";
  static final String READY = "ready";
  private static final long LIMIT = 256L << 20;

  record Layer(int index, int numa_count, String state, List<Entry> files, long bytes) {
    Layer {
      files = List.copyOf(files);
    }
  }

  /// @param path within the tree
  /// @param sha256 of the file, in lower-case hexadecimal
  record Entry(String path, long size_bytes, String sha256) {}

  KtListing {
    if (schema_version != 2) {
      throw new IllegalArgumentException("schema_version " + schema_version + ", not 2");
    }
    layers = List.copyOf(layers);
  }

  static Document<KtListing> read(ModelSource source, String root) throws IOException {
    return Json.readBytes(
        source, root + NAME, LIMIT, bytes -> Json.MAPPER.readValue(bytes, KtListing.class));
  }
}
