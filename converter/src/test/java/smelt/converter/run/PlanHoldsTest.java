package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.converter.plan.Plan;
import smelt.converter.plan.PlanJson;
import smelt.converter.plan.TargetPlan;
import smelt.converter.target.Target;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.gguf.GgufHeader;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.safetensors.SafetensorsHeader;
import smelt.formats.safetensors.TensorEntry;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// What the plan says is what lies on disk afterwards: names, sizes, tensors, offsets.
class PlanHoldsTest {

  /// Targets that take rows of whole groups only.
  private static final Set<Target> INT4_GROUPS =
      Collections.unmodifiableSet(EnumSet.of(Target.CT_W4A16, Target.RAWINT4));

  private record Placed(String type, List<Long> shape, String file, long offset, long bytes) {}

  static Stream<Arguments> samplesAndTargets() {
    return Stream.of("tiny-deepseek-v3", "tiny-deepseek-v3-fp8")
        .flatMap(sample -> Stream.of(Target.values()).map(t -> Arguments.of(sample, t)));
  }

  @ParameterizedTest(name = "{0} to {1}")
  @MethodSource("samplesAndTargets")
  void everyFileAndTensorOfASampleIsAsPlanned(String sample, Target target, @TempDir Path folder)
      throws Exception {
    holds(Checkout.root().resolve("samples").resolve(sample), folder.resolve("out"), target);
  }

  static Stream<Arguments> architecturesAndForms() {
    return Stream.of(Architecture.values())
        .flatMap(a ->
            Stream.of(SyntheticCheckpoint.Form.BF16, SyntheticCheckpoint.Form.FP8_BLOCK_UE8M0)
                .map(form -> Arguments.of(a, form)));
  }

  @ParameterizedTest(name = "{0} in {1}")
  @MethodSource("architecturesAndForms")
  void everyArchitectureIsAsPlannedForAllTargetsAtOnce(
      Architecture architecture, SyntheticCheckpoint.Form form, @TempDir Path folder)
      throws Exception {
    Path model = SyntheticCheckpoint.of(architecture).form(form).write(folder.resolve("model"));
    Target[] fitting =
        Stream.of(Target.values())
            .filter(target -> target.kind() == Target.Kind.CHECKPOINT)
            .filter(target -> !INT4_GROUPS.contains(target))
            .toArray(Target[]::new);
    holds(model, folder.resolve("out"), fitting);
  }

  @ParameterizedTest
  @EnumSource(Architecture.class)
  void rowsOfWholeGroupsAreAsPlannedForInt4(Architecture architecture, @TempDir Path folder)
      throws Exception {
    Path model = SyntheticCheckpoint.of(architecture).wholeGroups().write(folder.resolve("model"));
    holds(model, folder.resolve("out"), INT4_GROUPS.toArray(Target[]::new));
  }

  private static void holds(Path model, Path out, Target... targets) throws Exception {
    Converting converting = Converting.to(targets);
    Plan plan = converting.plan(model);
    converting.run(model, out);

    Map<String, Long> planned = new TreeMap<>();
    for (TargetPlan target : plan.targets()) {
      String prefix = target.folder().isEmpty() ? "" : target.folder() + "/";
      target.shards().forEach(s -> planned.put(prefix + s.name(), s.layout().fileSize()));
      target.smallFiles().forEach(f -> planned.put(prefix + f.name(), (long) f.bytes().length));
      planned.put(prefix + TargetPlan.MANIFEST, target.manifestBytes());
    }
    assertThat(sizes(out)).isEqualTo(planned);
    assertThat(plan.outputBytes())
        .isEqualTo(planned.values().stream().mapToLong(Long::longValue).sum());

    JsonNode json = json(plan);
    for (TargetPlan target : plan.targets()) {
      String label = target.spec().name();
      Map<String, Placed> plannedTensors = new TreeMap<>();
      for (JsonNode line : json.get("tensors of " + label)) {
        List<Long> shape = new ArrayList<>();
        line.get("shape").forEach(dim -> shape.add(dim.asLong()));
        plannedTensors.put(
            line.get("name").asString(),
            new Placed(
                line.get("type").asString(),
                shape,
                line.get("file").asString(),
                line.get("offset").asLong(),
                line.get("bytes").asLong()));
      }
      assertThat(tensors(out.resolve(target.folder()))).as(label).isEqualTo(plannedTensors);
    }
  }

  private static JsonNode json(Plan plan) throws IOException {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    PlanJson.write(plan, text);
    return JsonMapper.builder().build().readTree(text.toByteArray());
  }

  private static Map<String, Long> sizes(Path folder) throws IOException {
    Map<String, Long> sizes = new TreeMap<>();
    for (String name : Converting.names(folder)) {
      sizes.put(name, Files.size(folder.resolve(name)));
    }
    return sizes;
  }

  /// Read by the ordinary reader from what is on disk.
  private static Map<String, Placed> tensors(Path folder) throws IOException {
    Map<String, Placed> tensors = new TreeMap<>();
    try (ModelSource source = ModelSources.open(folder)) {
      for (String name : source.names()) {
        if (name.endsWith(".gguf")) {
          try (ByteSource file = source.open(name)) {
            GgufHeader header = GgufHeader.read(file);
            for (GgufTensor tensor : header.tensors()) {
              tensors.put(
                  tensor.name(),
                  new Placed(
                      tensor.type().name(),
                      tensor.dims(),
                      name,
                      header.offset(tensor),
                      tensor.bytes()));
            }
          }
        }
        if (name.endsWith(".safetensors")) {
          try (ByteSource file = source.open(name)) {
            SafetensorsHeader header = SafetensorsHeader.read(file);
            for (TensorEntry entry : header.tensors()) {
              tensors.put(
                  entry.name(),
                  new Placed(
                      entry.type().name(),
                      entry.shape().dims(),
                      name,
                      header.offset(entry),
                      entry.bytes()));
            }
          }
        }
      }
    }
    return tensors;
  }
}
