package smelt.converter.plan;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import smelt.calibrate.smooth.Pair;
import smelt.converter.Version;
import smelt.converter.recipe.Solver;
import smelt.formats.checkpoint.SourceTensor;
import tools.jackson.core.JsonGenerator;

/// `manifest.json` of one target's folder, format `smelt-manifest/1`: what every file and tensor
/// is, where it came from, and its digest. Written last; its presence says that the folder is
/// whole.
///
/// Everything but digests and counts of rows is known to the plan, and these have a fixed length,
/// so the plan knows the manifest's size.
public final class Manifest {

  public static final String FORMAT = "smelt-manifest/1";

  private static final String NO_SHA256 = "0".repeat(64);
  private static final String NO_CRC32C = "0".repeat(8);

  /// Digests of one target's files, all in lower-case hex, and what else is known when they are
  /// written.
  ///
  /// @param sha256 by file name
  /// @param crc32c by tensor name
  /// @param judged rows that solvers chose
  public record Digests(Map<String, String> sha256, Map<String, String> crc32c, JudgedRows judged) {
    String sha256(String file) {
      return known(sha256, file);
    }

    String crc32c(String tensor) {
      return known(crc32c, tensor);
    }

    private static String known(Map<String, String> digests, String name) {
      String digest = digests.get(name);
      if (digest == null) {
        throw new IllegalStateException("no digest of " + name);
      }
      return digest;
    }
  }

  /// A file as the manifest lists it.
  public record FileLine(String name, long bytes, String sha256) {}

  /// A tensor as the manifest and the plan list it.
  ///
  /// @param offset first byte, from the start of the file
  /// @param how `copied` when the source's bytes are kept, else `converted`
  /// @param from names of the source tensors that it was made from
  public record TensorLine(
      String name,
      String type,
      List<Long> shape,
      String file,
      long offset,
      long bytes,
      Optional<String> crc32c,
      String how,
      List<String> from) {

    /// Writes the line, keys sorted.
    void write(JsonGenerator json) {
      json.writeStartObject();
      json.writeNumberProperty("bytes", bytes);
      crc32c.ifPresent(crc -> json.writeStringProperty("crc32c", crc));
      json.writeStringProperty("file", file);
      json.writeArrayPropertyStart("from");
      from.forEach(json::writeString);
      json.writeEndArray();
      json.writeStringProperty("how", how);
      json.writeStringProperty("name", name);
      json.writeNumberProperty("offset", offset);
      json.writeArrayPropertyStart("shape");
      shape.forEach(json::writeNumber);
      json.writeEndArray();
      json.writeStringProperty("type", type);
      json.writeEndObject();
    }
  }

  private Manifest() {}

  /// Size of the manifest in bytes, whatever its digests.
  public static long bytes(Plan plan, TargetPlan target) {
    CountingStream counter = new CountingStream();
    try {
      write(plan, NO_SHA256, target, placeholders(target), counter);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return counter.count();
  }

  private static Digests placeholders(TargetPlan target) {
    Map<String, String> sha256 = new HashMap<>();
    Map<String, String> crc32c = new HashMap<>();
    target.smallFiles().forEach(file -> sha256.put(file.name(), NO_SHA256));
    target.listing().ifPresent(file -> sha256.put(file.name(), NO_SHA256));
    for (TargetPlan.Shard shard : target.shards()) {
      shard.files().forEach(file -> sha256.put(file.name(), NO_SHA256));
      shard.layout().parts().forEach(tensor -> crc32c.put(tensor.name(), NO_CRC32C));
    }
    return new Digests(sha256, crc32c, JudgedRows.NONE);
  }

  /// Writes the manifest.
  ///
  /// @param planDigest the plan's SHA-256 in hex
  public static void write(
      Plan plan, String planDigest, TargetPlan target, Digests digests, OutputStream out)
      throws IOException {
    try (LineJson json = new LineJson(out)) {
      json.entry("format", FORMAT);
      json.entry("smelt", Version.text());
      json.entry("target", target.spec().target().label());
      json.entry(
          "recipe",
          new TreeMap<>(Map.of("name", plan.recipe().name(), "sha256", plan.recipe().digest())));
      json.entry("plan", planDigest);
      json.entry("source", plan.source().json());
      if (!target.spec().calibrated().isNothing()) {
        json.entry("calibration", plan.calibration().orElseThrow());
        json.entry(
            "smooth", target.spec().calibrated().smooth().stream().map(Pair.Kind::label).toList());
      }
      if (target.spec().calibrated().strongest() != Solver.ROUNDING) {
        json.entry("held_out", digests.judged().json());
      }
      json.lines("files", files(target, digests));
      json.lines(
          "tensors",
          tensors(plan, target, Optional.of(digests)),
          (generator, line) -> line.write(generator));
      json.lines("dropped", both(plan.dropped(), target.dropped()));
      json.lines("left_out", both(plan.leftOut(), target.leftOut()));
    }
  }

  private static List<FileLine> files(TargetPlan target, Digests digests) {
    List<FileLine> lines = new ArrayList<>();
    for (TargetPlan.Shard shard : target.shards()) {
      for (ShardLayout.UnitFile file : shard.files()) {
        lines.add(new FileLine(file.name(), file.bytes(), digests.sha256(file.name())));
      }
    }
    target
        .listing()
        .ifPresent(file ->
            lines.add(new FileLine(file.name(), file.bytes(), digests.sha256(file.name()))));
    for (TargetPlan.SmallFile file : target.smallFiles()) {
      lines.add(new FileLine(file.name(), file.bytes().length, digests.sha256(file.name())));
    }
    lines.sort(Comparator.comparing(FileLine::name));
    return lines;
  }

  private static List<Plan.Dropped> both(List<Plan.Dropped> all, List<Plan.Dropped> own) {
    return Stream.concat(all.stream(), own.stream()).toList();
  }

  /// All tensors of a target, by unit and in the order of the work.
  ///
  /// @param digests the checksums, or empty to leave them out as the plan does
  static List<TensorLine> tensors(Plan plan, TargetPlan target, Optional<Digests> digests) {
    int targetIndex = plan.targets().indexOf(target);
    List<TensorLine> lines = new ArrayList<>();
    for (TargetPlan.Shard shard : target.shards()) {
      Unit unit = plan.units().get(shard.unit());
      switch (target.spec().target().kind()) {
        case CHECKPOINT, EXPERTS -> {
          for (Job job : unit.jobs()) {
            job.output(targetIndex)
                .ifPresent(output ->
                    output
                        .tensors()
                        .forEach(tensor ->
                            lines.add(
                                line(
                                    tensor,
                                    shard,
                                    Origin.of(target, job, output, tensor),
                                    digests))));
          }
        }
        case GGUF ->
            origins(target, unit, targetIndex)
                .forEach((tensor, origin) -> lines.add(line(tensor, shard, origin, digests)));
      }
      for (String constant : shard.constants().keySet()) {
        lines.add(line(constant, shard, new Origin(false, List.of()), digests));
      }
    }
    return lines;
  }

  /// What a tensor of the output was made of.
  ///
  /// @param copied whether it holds the source's bytes as they are
  /// @param from names of the source's tensors
  private record Origin(boolean copied, List<String> from) {

    static Origin of(TargetPlan target, Job job, Job.Output output, String tensor) {
      String codes = job.weight().codes().name();
      Optional<String> scale = job.weight().scale().map(SourceTensor::name);
      if (output instanceof Job.Output.Tensor copy
          && job.copies(copy)
          && !target.spec().calibrated().mayChange(job.weight(), copy.encoding())) {
        if (tensor.equals(copy.name())) {
          return new Origin(true, List.of(codes));
        }
        if (copy.scale().isPresent() && tensor.equals(copy.scale().get())) {
          return new Origin(true, List.of(scale.orElseThrow()));
        }
      }
      return new Origin(false, Stream.concat(Stream.of(codes), scale.stream()).toList());
    }

    Origin and(Origin other) {
      List<String> all = new ArrayList<>(from);
      all.addAll(other.from);
      return new Origin(false, all);
    }
  }

  /// The tensors of a unit in the order of the work, where several weights can go into one.
  private static SequencedMap<String, Origin> origins(TargetPlan plan, Unit unit, int target) {
    SequencedMap<String, Origin> origins = new LinkedHashMap<>();
    for (Job job : unit.jobs()) {
      job.output(target)
          .ifPresent(output ->
              output
                  .tensors()
                  .forEach(tensor ->
                      origins.merge(tensor, Origin.of(plan, job, output, tensor), Origin::and)));
    }
    return origins;
  }

  private static TensorLine line(
      String name, TargetPlan.Shard shard, Origin origin, Optional<Digests> digests) {
    ShardLayout.Part part = shard.layout().part(name);
    return new TensorLine(
        name,
        part.type(),
        part.shape(),
        shard.file(name),
        part.offset(),
        part.bytes(),
        digests.map(d -> d.crc32c(name)),
        origin.copied() ? "copied" : "converted",
        origin.from());
  }
}
