package smelt.converter.plan;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
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
import smelt.formats.gguf.GgufModel;
import smelt.formats.gguf.GgufParts;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.gguf.GgufValue;
import smelt.formats.safetensors.SafetensorsHeader;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// The source, as far as its headers tell.
///
/// @param tensors names of tensors, each with one fate in a manifest
/// @param bytes of all stored tensors, without headers
/// @param headersDigest SHA-256 over `name size header-sha256` of every shard, each on a line,
///   sorted
/// @param namesDigest SHA-256 over all tensor names, sorted by UTF-8, each followed by a newline
public record SourceSummary(
    String architecture, long tensors, long bytes, String headersDigest, String namesDigest) {

  private static final long MANIFEST_LIMIT = 1L << 30;

  static SourceSummary of(Checkpoint checkpoint) {
    MessageDigest headers = Sha256.start();
    for (Shard shard : checkpoint.shards()) {
      headers.update(line(shard.file() + " " + shard.size() + " " + shard.headerSha256()));
    }
    List<byte[]> names = names(checkpoint);
    return new SourceSummary(
        checkpoint.architecture().className(),
        names.size(),
        checkpoint.tensorBytes(),
        Sha256.hex(headers),
        sortedDigest(names));
  }

  /// The same model, with the files of its packed experts. Those of a tree tell layer, node and
  /// size by their names; a manifest has checksums of all.
  SourceSummary with(ModelSource packed) throws IOException {
    MessageDigest files = Sha256.start();
    files.update(line(headersDigest));
    for (String name : packed.names()) {
      if (name.endsWith(".safetensors")) {
        try (ByteSource file = packed.open(name)) {
          String sha256 = head(file, SafetensorsHeader.read(file).dataStart());
          files.update(line(name + " " + file.size() + " " + sha256));
        }
      } else if (name.endsWith(".kt")) {
        files.update(line(name));
      } else if (name.equals(TargetPlan.MANIFEST)) {
        files.update(line(name + " " + Sha256.hex(packed.readSmall(name, MANIFEST_LIMIT))));
      }
    }
    return new SourceSummary(architecture, tensors, bytes, Sha256.hex(files), namesDigest);
  }

  /// A GGUF model: what stands in front of the data is its header.
  static SourceSummary of(ModelSource source, GgufModel model) throws IOException {
    MessageDigest headers = Sha256.start();
    List<byte[]> names = new ArrayList<>();
    long bytes = 0;
    for (GgufParts.Part part : model.parts()) {
      try (ByteSource file = source.open(part.file())) {
        String sha256 = head(file, part.header().dataStart());
        headers.update(line(part.file() + " " + file.size() + " " + sha256));
      }
      for (GgufTensor tensor : part.header().tensors()) {
        names.add(line(tensor.name()));
        bytes = Math.addExact(bytes, tensor.bytes());
      }
    }
    GgufValue architecture = model.metadata().get("general.architecture");
    return new SourceSummary(
        architecture instanceof GgufValue.Text(String name) ? name : "unknown",
        model.tensors(),
        bytes,
        Sha256.hex(headers),
        sortedDigest(names));
  }

  private static String head(ByteSource file, long length) throws IOException {
    byte[] bytes = new byte[Math.toIntExact(length)];
    file.read(0, MemorySegment.ofArray(bytes));
    return Sha256.hex(bytes);
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

  /// All names; packed experts have one more for their scales, which no tensor is stored by.
  private static List<byte[]> names(Checkpoint checkpoint) {
    List<byte[]> names = new ArrayList<>();
    for (Weight weight : checkpoint.weights()) {
      names.add(line(weight.codes().name()));
      weight.scale().ifPresent(scale -> names.add(line(scale.name())));
    }
    for (Leftover leftover : checkpoint.leftovers()) {
      names.add(line(leftover.tensor().name()));
    }
    return names;
  }

  private static String sortedDigest(List<byte[]> names) {
    Collections.sort(names, java.util.Arrays::compareUnsigned);
    MessageDigest digest = Sha256.start();
    names.forEach(digest::update);
    return Sha256.hex(digest);
  }

  private static byte[] line(String name) {
    return (name + "\n").getBytes(StandardCharsets.UTF_8);
  }
}
