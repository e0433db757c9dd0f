package smelt.converter.plan;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Leftover;
import smelt.formats.checkpoint.Shard;
import smelt.formats.checkpoint.Weight;
import smelt.formats.files.Sha256;

/// The source, as far as its headers tell.
///
/// @param tensors stored tensors
/// @param bytes of all stored tensors, without headers
/// @param headersDigest SHA-256 over `name size header-sha256` of every shard, each on a line,
///   sorted
/// @param namesDigest SHA-256 over all tensor names, sorted by UTF-8, each followed by a newline
public record SourceSummary(
    String architecture, long tensors, long bytes, String headersDigest, String namesDigest) {

  static SourceSummary of(Checkpoint checkpoint) {
    MessageDigest headers = Sha256.start();
    for (Shard shard : checkpoint.shards()) {
      String line = shard.file() + " " + shard.size() + " " + shard.headerSha256() + "\n";
      headers.update(line.getBytes(StandardCharsets.UTF_8));
    }
    return new SourceSummary(
        checkpoint.architecture().className(),
        checkpoint.storedTensors(),
        checkpoint.tensorBytes(),
        Sha256.hex(headers),
        namesDigest(checkpoint));
  }

  /// The summary as it stands in plan and manifest.
  Map<String, Object> json() {
    return new TreeMap<>(
        Map.of(
            "architecture", architecture,
            "tensors", tensors,
            "bytes", bytes,
            "headers_sha256", headersDigest,
            "names_sha256", namesDigest));
  }

  private static String namesDigest(Checkpoint checkpoint) {
    List<byte[]> names = new ArrayList<>();
    for (Weight weight : checkpoint.weights()) {
      names.add(line(weight.codes().name()));
      weight.scale().ifPresent(scale -> names.add(line(scale.name())));
    }
    for (Leftover leftover : checkpoint.leftovers()) {
      names.add(line(leftover.tensor().name()));
    }
    Collections.sort(names, java.util.Arrays::compareUnsigned);
    MessageDigest digest = Sha256.start();
    names.forEach(digest::update);
    return Sha256.hex(digest);
  }

  private static byte[] line(String name) {
    return (name + "\n").getBytes(StandardCharsets.UTF_8);
  }
}
