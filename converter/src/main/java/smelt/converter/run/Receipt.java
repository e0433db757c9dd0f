package smelt.converter.run;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import smelt.converter.plan.JudgedRows;
import smelt.formats.files.AtomicFile;
import smelt.formats.files.Sha256;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

/// Says that a unit's shards lie on disk, complete and checked. Written after the last of them was
/// renamed, so a unit has a receipt or is done again.
///
/// The file is JSON after a line with its SHA-256 in hex: a receipt with a flipped bit would give
/// the manifest a wrong digest.
///
/// @param plan digest of the plan
/// @param unit the unit's number
/// @param sources stamps of the source files that the unit read, by name: the plan knows headers
///   only, and the numbers of another checkpoint can lie under the same headers
/// @param judged rows that solvers chose, by the index of the target
public record Receipt(
    String plan,
    int unit,
    Map<String, String> sources,
    List<ShardDigest> shards,
    Map<Integer, JudgedRows> judged) {

  private static final JsonMapper MAPPER = JsonMapper.builder().build();
  private static final int DIGEST_LINE = 65;

  public Receipt {
    sources = Map.copyOf(sources);
    shards = List.copyOf(shards);
    judged = Map.copyOf(judged);
  }

  /// One finished shard.
  ///
  /// @param target index of the target in the plan
  /// @param sha256 of every file, in lower-case hex, by its path in the target's folder
  /// @param crc32c of every tensor, in lower-case hex
  public record ShardDigest(
      int target,
      String name,
      long bytes,
      Map<String, String> sha256,
      Map<String, String> crc32c) {}

  /// Where a unit's receipt lies in the folder of receipts.
  static Path path(Path folder, int unit) {
    return folder.resolve(String.format(Locale.ROOT, "unit-%05d.json", unit));
  }

  void write(Path folder) throws IOException {
    byte[] json = MAPPER.writeValueAsBytes(this);
    ByteArrayOutputStream file = new ByteArrayOutputStream();
    file.writeBytes(digestLine(json));
    file.writeBytes(json);
    AtomicFile.writeWhole(path(folder, unit), file.toByteArray());
  }

  /// Removes a receipt that no longer tells of what is there.
  static void remove(Path folder, int unit) throws IOException {
    Files.deleteIfExists(path(folder, unit));
  }

  /// The receipt of a unit, if there is an intact one for this plan.
  static Optional<Receipt> read(Path folder, String plan, int unit) throws IOException {
    Path path = path(folder, unit);
    if (!Files.isRegularFile(path)) {
      return Optional.empty();
    }
    byte[] file = Files.readAllBytes(path);
    byte[] json = Arrays.copyOfRange(file, Math.min(DIGEST_LINE, file.length), file.length);
    if (!Arrays.equals(digestLine(json), 0, DIGEST_LINE, file, 0, file.length - json.length)) {
      return Optional.empty();
    }
    try {
      Receipt receipt = MAPPER.readValue(json, Receipt.class);
      return Optional.of(receipt).filter(r -> r.plan().equals(plan) && r.unit() == unit);
    } catch (JacksonException _) {
      return Optional.empty();
    }
  }

  private static byte[] digestLine(byte[] json) {
    return (Sha256.hex(json) + "\n").getBytes(StandardCharsets.US_ASCII);
  }
}
