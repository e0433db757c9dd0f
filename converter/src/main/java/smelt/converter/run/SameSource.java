package smelt.converter.run;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import smelt.converter.OutputConflictException;
import smelt.converter.plan.Job;
import smelt.converter.plan.Plan;
import smelt.converter.plan.TargetPlan;
import smelt.converter.plan.Unit;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.files.Crc32c;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.SourceFiles;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Looks whether a finished output is of this source. The plan knows headers only, and another
/// model can have the same ones (a fine-tune usually has). The manifest holds checksums of all
/// tensors, so those that were copied can be compared: norms, routers and their biases, at most 16
/// MiB each.
///
/// Equal ones are no proof: a model that differs in quantized weights alone passes.
final class SameSource {

  private static final long LARGEST = 16L << 20;
  private static final JsonMapper MAPPER = JsonMapper.builder().build();

  private SameSource() {}

  /// @throws OutputConflictException if a copied tensor differs from the source's
  static void require(ModelSource source, Plan plan, Path output) throws IOException {
    Path folder = output.resolve(plan.targets().getFirst().folder());
    Map<String, String> checksums = copied(folder.resolve(TargetPlan.MANIFEST));
    try (SourceFiles files = new SourceFiles(source)) {
      for (Unit unit : plan.units()) {
        for (Job job : unit.jobs()) {
          SourceTensor tensor = job.weight().codes();
          String expected = checksums.get(job.weight().name());
          if (expected != null && tensor.bytes() <= LARGEST) {
            compare(files.file(tensor.file()), tensor, expected, folder);
          }
        }
      }
    }
  }

  private static Map<String, String> copied(Path manifest) throws IOException {
    Map<String, String> checksums = new HashMap<>();
    for (JsonNode line : MAPPER.readTree(Files.readAllBytes(manifest)).path("tensors")) {
      if (line.path("how").asString("").equals("copied")) {
        checksums.put(line.path("name").asString(""), line.path("crc32c").asString(""));
      }
    }
    return checksums;
  }

  private static void compare(ByteSource file, SourceTensor tensor, String expected, Path folder)
      throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(Math.max(1, tensor.bytes())).asSlice(0, tensor.bytes());
      file.read(tensor.offset(), bytes);
      if (!Crc32c.hex(Crc32c.of(bytes)).equals(expected)) {
        throw new OutputConflictException(
            folder.toString(),
            "the output of another model with the same headers: " + tensor.name() + " differs",
            "an empty folder, or the output of this model",
            "choose another output, or remove this one yourself");
      }
    }
  }
}
