package smelt.verify;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.files.Sha256;
import smelt.formats.source.ByteSource;

/// Rules on Smelt's own results: the manifest against the files, and every source tensor accounted
/// for.
final class ManifestRules {

  private static final String NOT_OURS = "there is no manifest.json";

  private ManifestRules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.any(
            "output-finished",
            "file names",
            "no trace of an unfinished conversion is left",
            ManifestRules::finished),
        Rule.any(
            "manifest-readable",
            "manifest",
            "manifest.json is a " + Manifest.FORMAT,
            ManifestRules::readable),
        Rule.any(
            "manifest-files",
            "manifest, file names",
            "the folder holds exactly the files of the manifest, each of its size",
            ManifestRules::files),
        Rule.any(
            "manifest-tensors",
            "manifest, headers",
            "the manifest lists exactly the tensors of the headers, each at its place",
            ManifestRules::tensors),
        Rule.any(
            "closed-world",
            "manifest",
            "every source tensor was converted, copied, or dropped with a reason",
            ManifestRules::closedWorld),
        Rule.any(
            "tensor-digests",
            "data, manifest",
            "every tensor's bytes have the manifest's CRC-32C",
            ManifestRules::tensorDigests),
        Rule.any(
            "file-digests",
            "data, manifest",
            "every file has the manifest's SHA-256",
            ManifestRules::fileDigests));
  }

  /// Those that hold for any kind of folder: they do not look at the headers of safetensors.
  static List<Rule> untyped() {
    return rules().stream().filter(rule -> !rule.name().equals("manifest-tensors")).toList();
  }

  private static void finished(Facts facts, Findings out) {
    for (String trace : facts.unfinished()) {
      out.fail(
          trace,
          "a file or folder of a conversion in progress",
          "only finished files",
          "the conversion was interrupted: files are missing; run the same command again");
    }
  }

  private static Optional<Manifest> manifest(Facts facts, Findings out) {
    if (facts.manifest().value().isEmpty()) {
      out.skip(facts.ours() ? "manifest.json cannot be read" : NOT_OURS);
    }
    return facts.manifest().value();
  }

  private static void readable(Facts facts, Findings out) {
    switch (facts.manifest()) {
      case Document.Read<Manifest> _ -> {}
      case Document.Absent<Manifest> _ -> out.skip(NOT_OURS);
      case Document.Broken<Manifest> broken ->
          out.fail(
              broken.file(),
              broken.found(),
              broken.expected(),
              "nothing tells whether the files are those that were written");
    }
  }

  private static void files(Facts facts, Findings out) throws IOException {
    Optional<Manifest> manifest = manifest(facts, out);
    if (manifest.isEmpty()) {
      return;
    }
    Set<String> present = new HashSet<>(facts.source().names());
    Set<String> listed = new HashSet<>();
    for (Manifest.FileEntry file : manifest.get().files()) {
      if (!listed.add(file.name())) {
        out.fail(file.name(), "listed twice", "once", "the manifest was changed by hand");
      } else if (!present.contains(file.name())) {
        out.fail(file.name(), "no such file", file.bytes() + " bytes", "the copy is incomplete");
      } else {
        size(facts, file, out);
      }
    }
    for (String name : facts.source().names()) {
      if (!listed.contains(name) && !name.equals(Manifest.NAME)) {
        out.fail(
            name,
            "a file that the manifest does not list",
            "only the files that were written",
            "loaders that take all files of the folder may serve it");
      }
    }
  }

  private static void size(Facts facts, Manifest.FileEntry file, Findings out) throws IOException {
    try (ByteSource bytes = facts.source().open(file.name())) {
      if (bytes.size() != file.bytes()) {
        out.fail(
            file.name(),
            bytes.size() + " bytes",
            file.bytes() + " bytes",
            "the file was cut short or replaced: copy it again");
      }
    }
  }

  private static void tensors(Facts facts, Findings out) {
    Optional<Manifest> manifest = manifest(facts, out);
    if (manifest.isEmpty() || !facts.unreadable().isEmpty()) {
      return;
    }
    Set<String> listed = new HashSet<>();
    for (Manifest.Tensor tensor : manifest.get().tensors()) {
      SourceTensor found = facts.tensors().get(tensor.name());
      String expected = describe(tensor);
      String is = found == null ? "no such tensor" : describe(found);
      if (!listed.add(tensor.name())) {
        is = "listed twice";
      }
      if (!is.equals(expected)) {
        out.fail(
            tensor.file() + ": " + tensor.name(),
            is,
            expected,
            "the shard is not the one that was written");
      }
    }
    for (SourceTensor tensor : facts.tensors().values()) {
      if (!listed.contains(tensor.name())) {
        out.fail(
            Facts.where(tensor),
            "a tensor that the manifest does not list",
            "only tensors that were written",
            "the shard is not the one that was written");
      }
    }
  }

  private static String describe(Manifest.Tensor tensor) {
    return tensor.type()
        + " "
        + tensor.shape()
        + " in "
        + tensor.file()
        + " at "
        + tensor.offset()
        + ", "
        + tensor.bytes()
        + " bytes";
  }

  private static String describe(SourceTensor tensor) {
    return tensor.type()
        + " "
        + tensor.shape()
        + " in "
        + tensor.file()
        + " at "
        + tensor.offset()
        + ", "
        + tensor.bytes()
        + " bytes";
  }

  private static void closedWorld(Facts facts, Findings out) {
    Optional<Manifest> manifest = manifest(facts, out);
    if (manifest.isEmpty()) {
      return;
    }
    Map<String, String> fate = new HashMap<>();
    for (Manifest.Tensor tensor : manifest.get().tensors()) {
      for (String from : tensor.from()) {
        fate.put(from, tensor.how());
      }
      if (tensor.from().isEmpty() || !Set.of("converted", "copied").contains(tensor.how())) {
        out.fail(
            "manifest.json: " + tensor.name(),
            "how '" + tensor.how() + "', from " + tensor.from().size() + " source tensors",
            "converted or copied, from at least one",
            "the tensor comes from nowhere: its values are made up");
      }
    }
    dropped(manifest.get(), fate, out);
    String digest = namesDigest(fate.keySet());
    Manifest.Source source = manifest.get().source();
    if (fate.size() != source.tensors() || !digest.equals(source.names_sha256())) {
      out.fail(
          "manifest.json: source",
          fate.size() + " source tensors accounted for, digest of their names " + digest,
          source.tensors() + " source tensors, digest of their names " + source.names_sha256(),
          "source tensors vanished without a reason: the model lacks weights that it was trained"
              + " with");
    }
  }

  private static void dropped(Manifest manifest, Map<String, String> fate, Findings out) {
    for (Manifest.Dropped dropped : manifest.dropped()) {
      String used = fate.put(dropped.name(), "dropped");
      if (used != null) {
        out.fail(
            "manifest.json: dropped: " + dropped.name(),
            "a source tensor that was also " + used,
            "one fate for each source tensor",
            "nobody can tell whether the weight is in the result");
      }
      if (dropped.reason().isBlank()) {
        out.fail(
            "manifest.json: dropped: " + dropped.name(),
            "no reason",
            "the reason why it was dropped",
            "nobody can tell whether the weight is missed");
      }
    }
  }

  /// SHA-256 of names in bytewise order, each followed by a newline.
  static String namesDigest(Set<String> names) {
    MessageDigest digest = Sha256.start();
    names.stream()
        .map(name -> name.getBytes(UTF_8))
        .sorted(Arrays::compareUnsigned)
        .forEach(name -> {
          digest.update(name);
          digest.update((byte) '\n');
        });
    return Sha256.hex(digest);
  }

  private static void tensorDigests(Facts facts, Findings out) {
    Optional<Manifest> manifest = manifest(facts, out);
    if (manifest.isEmpty() || facts.data().isEmpty()) {
      out.skip(manifest.isEmpty() ? NOT_OURS : DataRules.NOT_READ);
      return;
    }
    Map<String, Integer> crcs = facts.data().get().crc32c();
    for (Manifest.Tensor tensor : manifest.get().tensors()) {
      Integer crc = crcs.get(tensor.name());
      if (crc == null) {
        continue;
      }
      String found = HexFormat.of().toHexDigits(crc);
      if (!found.equals(tensor.crc32c())) {
        out.fail(
            tensor.file() + ": " + tensor.name(),
            "CRC-32C " + found,
            tensor.crc32c(),
            "bits of this tensor have changed since it was written: copy the file again");
      }
    }
  }

  private static void fileDigests(Facts facts, Findings out) {
    Optional<Manifest> manifest = manifest(facts, out);
    if (manifest.isEmpty() || facts.data().isEmpty()) {
      out.skip(manifest.isEmpty() ? NOT_OURS : DataRules.NOT_READ);
      return;
    }
    Map<String, String> digests = facts.data().get().sha256();
    for (Manifest.FileEntry file : manifest.get().files()) {
      String found = digests.get(file.name());
      if (found != null && !found.equals(file.sha256())) {
        out.fail(
            file.name(),
            "SHA-256 " + found,
            file.sha256(),
            "the file is not the one that was written: copy it again");
      }
    }
  }
}
