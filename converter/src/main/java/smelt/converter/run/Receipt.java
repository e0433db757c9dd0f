package smelt.converter.run;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import smelt.formats.files.AtomicFile;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

/// Says that a unit's shards lie on disk, complete and checked. Written after the last of them was
/// renamed, so a unit has a receipt or is done again.
///
/// @param plan digest of the plan
/// @param unit the unit's number
public record Receipt(String plan, int unit, List<ShardDigest> shards) {

  private static final JsonMapper MAPPER = JsonMapper.builder().build();

  public Receipt {
    shards = List.copyOf(shards);
  }

  /// One finished shard.
  ///
  /// @param target index of the target in the plan
  /// @param sha256 of the whole file, in lower-case hex
  /// @param crc32c of every tensor, in lower-case hex
  public record ShardDigest(
      int target, String name, long bytes, String sha256, Map<String, String> crc32c) {}

  private static Path path(Path folder, int unit) {
    return folder.resolve(String.format(Locale.ROOT, "unit-%05d.json", unit));
  }

  void write(Path folder) throws IOException {
    AtomicFile.writeWhole(path(folder, unit), MAPPER.writeValueAsBytes(this));
  }

  /// The receipt of a unit, if there is one for this plan.
  static Optional<Receipt> read(Path folder, String plan, int unit) throws IOException {
    Path path = path(folder, unit);
    if (!Files.exists(path)) {
      return Optional.empty();
    }
    try {
      Receipt receipt = MAPPER.readValue(Files.readAllBytes(path), Receipt.class);
      return Optional.of(receipt).filter(r -> r.plan().equals(plan) && r.unit() == unit);
    } catch (JacksonException e) {
      throw new IOException(
          path + ": not a receipt (" + e.getOriginalMessage() + "); remove it to redo the unit", e);
    }
  }
}
