package smelt.verify;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.formats.Checkout;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.experts.ExpertFormat;
import smelt.formats.experts.ExpertTensor;
import smelt.formats.experts.ExpertTensor.Content;
import smelt.formats.safetensors.SafetensorsLayout;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Experts for KTransformers: two layers, two experts, two nodes, in both forms.
class KtCheckTest {

  private static final int HIDDEN = 128;
  private static final int INTERMEDIATE = 256;
  private static final int NODES = 2;
  private static final String INDEX = "model.safetensors.index.json";

  @TempDir Path folder;

  private interface Spoiler {
    void spoil(Path folder) throws IOException;
  }

  private record Fault(ExpertFormat format, boolean tree, Severity severity, Spoiler spoiler) {}

  private static final String UP = "blk.2.ffn_up_exps.1.numa.1.weight";
  private static final String SCALE = "blk.1.ffn_down_exps.0.numa.0.scale";

  private static final Map<String, Fault> FAULTS =
      Map.ofEntries(
          fault("kt-names", true, f -> Files.write(f.resolve("INT8_up_0.kt"), new byte[1])),
          fault("kt-complete", true, f -> Files.delete(file(f, ExpertFormat.AMXINT4, UP))),
          fault(
              "kt-sizes", true, f -> Files.write(file(f, ExpertFormat.AMXINT4, UP), new byte[100])),
          fault(
              "kt-listing",
              ExpertFormat.AMXINT8,
              true,
              f -> Files.write(f.resolve("x"), new byte[1])),
          fault(
              "kt-listing-digests",
              ExpertFormat.AMXINT8,
              true,
              f -> change(file(f, ExpertFormat.AMXINT8, UP), 7, (byte) 5)),
          fault(
              "kt-scales", true, f -> change(file(f, ExpertFormat.AMXINT4, SCALE), 3, (byte) 0xFF)),
          fault(
              "kt-column-sums",
              ExpertFormat.MOE_INT8,
              true,
              f -> change(file(f, ExpertFormat.MOE_INT8, UP), 7, (byte) 5)),
          Map.entry(
              "kt-codes",
              new Fault(
                  ExpertFormat.AMXINT4,
                  true,
                  Severity.WARN,
                  f -> change(file(f, ExpertFormat.AMXINT4, UP), 7, (byte) 0x81))),
          Map.entry(
              "kt-index",
              new Fault(
                  ExpertFormat.AMXINT8,
                  false,
                  Severity.WARN,
                  f -> Files.writeString(f.resolve(INDEX), "{\"weight_map\":{}}"))),
          Map.entry("kt-method", new Fault(ExpertFormat.MOE_INT8, false, Severity.NOTE, f -> {})));

  private static Map.Entry<String, Fault> fault(String rule, boolean tree, Spoiler spoiler) {
    return fault(rule, ExpertFormat.AMXINT4, tree, spoiler);
  }

  private static Map.Entry<String, Fault> fault(
      String rule, ExpertFormat format, boolean tree, Spoiler spoiler) {
    return Map.entry(rule, new Fault(format, tree, Severity.FAIL, spoiler));
  }

  /// The rule that needs a model has its own test.
  private static final String WITH_MODEL = "kt-as-model";

  static List<String> names() {
    return KtRules.rules().stream().map(Rule::name).filter(n -> !n.equals(WITH_MODEL)).toList();
  }

  @Test
  void everyRuleHasAFolderThatBreaksIt() {
    assertThat(FAULTS.keySet()).containsExactlyInAnyOrderElementsOf(names());
  }

  @ParameterizedTest
  @MethodSource("names")
  void aBrokenFolderBreaksThisRuleOnly(String rule) throws IOException {
    Fault fault = FAULTS.get(rule);
    write(fault.format(), fault.tree());
    fault.spoiler().spoil(folder);
    List<Finding> findings =
        check(Optional.empty()).findings().stream()
            .filter(f -> f.severity() != Severity.NOTE || f.rule().equals(rule))
            .toList();
    assertThat(findings).isNotEmpty();
    assertThat(findings)
        .allSatisfy(f -> {
          assertThat(f.rule()).as(f.text()).isEqualTo(rule);
          assertThat(f.severity()).isEqualTo(fault.severity());
        });
  }

  @ParameterizedTest
  @EnumSource(ExpertFormat.class)
  void soundFoldersPassAndSayWhichFlagsServeThem(ExpertFormat format) throws IOException {
    for (boolean tree : new boolean[] {true, false}) {
      write(format, tree);
      CheckReport report = check(Optional.empty());
      assertThat(report.findings())
          .singleElement()
          .satisfies(note ->
              assertThat(note.expected())
                  .isEqualTo("--kt-method " + format + " --kt-threadpool-count 2"));
      assertThat(report.passed()).contains("kt-complete", "kt-sizes", "kt-codes", "kt-scales");
      assertThat(report.figures()).containsEntry("tensors", 2L * 2 * NODES * 3 * 2);
      try (var files = Files.walk(folder)) {
        for (Path file : files.sorted(java.util.Comparator.reverseOrder()).toList()) {
          if (!file.equals(folder)) {
            Files.delete(file);
          }
        }
      }
    }
  }

  @Test
  void comparesLayersAndShapesWithTheModel() throws IOException {
    SyntheticCheckpoint model =
        SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
            .with("hidden_size", HIDDEN)
            .with("moe_intermediate_size", INTERMEDIATE)
            .with("n_routed_experts", 2);
    write(ExpertFormat.AMXINT8, true);
    CheckReport same = check(Optional.of(config(model)));
    assertThat(same.failed()).isFalse();
    assertThat(same.passed()).contains(WITH_MODEL);
    assertThat(check(Optional.of(config(model.with("hidden_size", 192)))).findings())
        .filteredOn(f -> f.rule().equals(WITH_MODEL))
        .isNotEmpty()
        .allMatch(f -> f.severity() == Severity.FAIL);
    assertThat(check(Optional.of(config(model.with("num_hidden_layers", 4)))).findings())
        .anyMatch(f -> f.rule().equals(WITH_MODEL) && f.where().contains("layer 3"));
  }

  private static ModelConfig config(SyntheticCheckpoint model) {
    return ModelConfig.parse("config.json", ModelDraft.JSON.writeValueAsBytes(model.config()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"int8_tp2", "int4_tp2"})
  void theRuntimesOwnTreesAreSound(String golden) throws IOException {
    Path tree = Checkout.golden("kt/tree/" + golden);
    try (var files = Files.walk(tree)) {
      for (Path file : files.toList()) {
        Files.copy(
            file,
            folder.resolve(tree.relativize(file).toString()),
            StandardCopyOption.REPLACE_EXISTING);
      }
    }
    if (golden.startsWith("int8")) {
      Files.copy(
          Checkout.golden("kt/tree/kt-weight-manifest.int8_tp2.json"),
          folder.resolve(KtListing.NAME));
    }
    CheckReport report = check(Optional.empty());
    assertThat(report.failed()).isFalse();
    assertThat(report.count(Severity.WARN)).isZero();
    if (golden.startsWith("int8")) {
      assertThat(report.passed()).contains("kt-listing", "kt-listing-digests");
    }
  }

  private CheckReport check(Optional<ModelConfig> model) throws IOException {
    return Check.run(folder, Set.of(), new CheckOptions(true, 2, model));
  }

  private static void change(Path file, int at, byte value) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    bytes[at] = value;
    Files.write(file, bytes);
  }

  private static Path file(Path folder, ExpertFormat format, String tensor) {
    ExpertTensor slice = ExpertTensor.ofTensor(tensor).orElseThrow();
    return folder.resolve(slice.path(format, bytes(format, slice).length));
  }

  /// Zeros are codes, scales and sums of a matrix of zeros.
  private static byte[] bytes(ExpertFormat format, ExpertTensor slice) {
    boolean down = slice.projection() == Projection.DOWN;
    long rows = down ? HIDDEN : INTERMEDIATE / NODES;
    long cols = down ? INTERMEDIATE / NODES : HIDDEN;
    long size =
        slice.content() == Content.SCALES
            ? rows * Float.BYTES
            : format.bytes(slice.projection(), rows, cols);
    return new byte[Math.toIntExact(size)];
  }

  private void write(ExpertFormat format, boolean tree) throws IOException {
    Map<ExpertTensor, byte[]> slices = new java.util.LinkedHashMap<>();
    for (int layer = 1; layer <= 2; layer++) {
      for (int expert = 0; expert < 2; expert++) {
        for (int node = 0; node < NODES; node++) {
          for (Projection projection : Projection.values()) {
            for (Content content : Content.values()) {
              ExpertTensor slice = new ExpertTensor(layer, projection, expert, node, content);
              slices.put(slice, bytes(format, slice));
            }
          }
        }
      }
    }
    if (tree) {
      writeTree(format, slices);
    } else {
      writeMerged(slices);
    }
  }

  private void writeTree(ExpertFormat format, Map<ExpertTensor, byte[]> slices) throws IOException {
    Map<Integer, ArrayNode> layers = new TreeMap<>();
    long total = 0;
    for (Map.Entry<ExpertTensor, byte[]> slice : slices.entrySet()) {
      String path = slice.getKey().path(format, slice.getValue().length);
      Path file = folder.resolve(path);
      Files.createDirectories(file.getParent());
      Files.write(file, slice.getValue());
      total += slice.getValue().length;
      layers
          .computeIfAbsent(slice.getKey().layer(), _ -> ModelDraft.JSON.createArrayNode())
          .addObject()
          .put("path", path)
          .put("size_bytes", slice.getValue().length)
          .put("sha256", sha256(slice.getValue()));
    }
    if (format != ExpertFormat.AMXINT8) {
      return;
    }
    ObjectNode listing = ModelDraft.JSON.createObjectNode();
    listing.put("schema_version", 2).put("state", "ready").put("expert_weight_format", "int8");
    listing.put("layout", "kt-int8-n32-k64-vnni-v1").put("threadpool_count", NODES);
    listing.put("expert_num", 2).put("hidden_size", HIDDEN).put("intermediate_size", INTERMEDIATE);
    ArrayNode all = listing.putArray("layers");
    long each = total / layers.size();
    layers.forEach((layer, files) ->
        all.addObject()
            .put("index", layer)
            .put("numa_count", NODES)
            .put("state", "ready")
            .put("bytes", each)
            .set("files", files));
    listing.put("bytes", total);
    Files.writeString(folder.resolve(KtListing.NAME), listing.toString());
  }

  private static String sha256(byte[] bytes) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (java.security.NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  private void writeMerged(Map<ExpertTensor, byte[]> slices) throws IOException {
    List<SafetensorsLayout.Tensor> tensors =
        slices.entrySet().stream()
            .map(slice ->
                slice.getKey().content() == Content.SCALES
                    ? new SafetensorsLayout.Tensor(
                        slice.getKey().tensorName(),
                        ElementType.F32,
                        Shape.of(slice.getValue().length / 4))
                    : new SafetensorsLayout.Tensor(
                        slice.getKey().tensorName(),
                        ElementType.I8,
                        Shape.of(slice.getValue().length)))
            .toList();
    SafetensorsLayout layout = SafetensorsLayout.of(tensors, Map.of("format", "pt"));
    ByteBuffer file =
        ByteBuffer.allocate(Math.toIntExact(layout.fileSize())).order(ByteOrder.LITTLE_ENDIAN);
    file.put(layout.header());
    Files.write(folder.resolve("model.safetensors"), file.array());
  }
}
