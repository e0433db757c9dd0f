package smelt.verify;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufParts;
import smelt.formats.gguf.GgufValue;

/// What a folder of GGUF has that no checkpoint has.
///
/// @param parts the headers of its files
/// @param nonFinite what the scan of the data has found; empty when data was not read
record GgufFacts(GgufParts parts, Optional<List<NonFinite>> nonFinite) {

  /// A tensor with a number that is NaN or infinite.
  ///
  /// @param block the first block with such a number
  record NonFinite(String file, String tensor, GgmlType type, long block) {}

  GgufFacts with(List<NonFinite> found) {
    return new GgufFacts(parts, Optional.of(List.copyOf(found)));
  }

  Map<String, GgufValue> metadata() {
    return parts.metadata();
  }

  static String where(GgufParts.Located located) {
    return located.file() + ": " + located.tensor().name();
  }
}
