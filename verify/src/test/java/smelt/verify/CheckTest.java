package smelt.verify;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.formats.BadInputException;
import smelt.formats.Checkout;
import smelt.formats.ElementType;
import smelt.formats.Shape;

class CheckTest {

  @TempDir Path folder;

  private CheckReport full() throws IOException {
    return Check.run(folder, Set.of(), CheckOptions.full());
  }

  private static List<String> texts(CheckReport report, Severity severity) {
    return report.findings().stream()
        .filter(finding -> finding.severity() == severity)
        .map(Finding::text)
        .toList();
  }

  @ParameterizedTest
  @ValueSource(strings = {"tiny-deepseek-v3", "tiny-deepseek-v3-fp8"})
  void theSamplesAreClean(String sample) throws IOException {
    Path model = Checkout.root().resolve("samples").resolve(sample);
    CheckReport report = Check.run(model, Set.of(), CheckOptions.full());
    assertThat(report.findings()).allMatch(finding -> finding.severity() == Severity.NOTE);
    assertThat(report.passed())
        .contains("weights-as-config", "index-total-size", "scales-usable", "weights-finite");
    assertThat(report.figures()).containsEntry("shards", 3L);
    assertThat(report.figures().get("data_bytes_read"))
        .isEqualTo(report.figures().get("tensor_bytes"));
  }

  @Test
  void aSingleFileWithoutIndexIsFine() throws IOException {
    ModelDraft draft = Drafts.fp8Block();
    draft.shards = 1;
    draft.withIndex = false;
    draft.write(folder);
    CheckReport report = full();
    assertThat(report.failed()).isFalse();
    assertThat(report.count(Severity.WARN)).isZero();
    assertThat(report.skipped())
        .contains(new CheckReport.Skipped("index-matches-headers", "there is no index"))
        .contains(new CheckReport.Skipped("closed-world", "there is no manifest.json"));
  }

  @Test
  void anIndexWithoutTotalSizeIsFine() throws IOException {
    ModelDraft draft = Drafts.bf16();
    draft.index.putObject("metadata");
    draft.write(folder);
    assertThat(full().failed()).isFalse();
  }

  @Test
  void missingFormatIsAWarningInTheWorkOfOthersAndAFailureInOurs() throws IOException {
    ModelDraft draft = Drafts.bf16();
    draft.metadata.clear();
    draft.write(folder);
    assertThat(full().failed()).isFalse();
    assertThat(texts(full(), Severity.WARN))
        .hasSize(2)
        .allMatch(t -> t.contains("format-metadata"));
    ManifestDraft.of(folder).write(folder);
    assertThat(texts(full(), Severity.FAIL))
        .hasSize(2)
        .allMatch(t -> t.contains("format-metadata"));
  }

  @Test
  void aFlippedBitNamesTensorAndFile() throws IOException {
    Drafts.fp8Block().write(folder);
    ManifestDraft manifest = ManifestDraft.of(folder);
    manifest.write(folder);
    String name = Drafts.ATTENTION + "o_proj.weight";
    String file = manifest.tensor(name).get("file").stringValue();
    try (RandomAccessFile shard = new RandomAccessFile(folder.resolve(file).toFile(), "rw")) {
      shard.seek(manifest.tensor(name).get("offset").longValue() + 100);
      shard.write(0x39);
    }
    CheckReport report = full();
    assertThat(texts(report, Severity.FAIL))
        .hasSize(2)
        .anyMatch(t -> t.contains("tensor-digests") && t.contains(name) && t.contains(file))
        .anyMatch(t -> t.contains("file-digests") && t.contains(file));
    assertThat(Check.run(folder, Set.of(), CheckOptions.quick()).failed()).isFalse();
  }

  @Test
  void allFailuresAreReportedNotOnlyTheFirst() throws IOException {
    ModelDraft draft = Drafts.fp8Block();
    draft.remove("model.norm.weight");
    draft.remove(Drafts.ATTENTION + "o_proj.weight_scale_inv");
    draft.setFloat(Drafts.ATTENTION + "q_b_proj.weight_scale_inv", 0, -1);
    draft.setFloat(Drafts.EXPERTS + "3.up_proj.weight_scale_inv", 0, Float.POSITIVE_INFINITY);
    draft.write(folder);
    assertThat(full().findings().stream().filter(f -> f.severity() == Severity.FAIL))
        .extracting(Finding::rule)
        .containsExactly(
            "weights-as-config", "companions-complete", "scales-usable", "scales-usable");
  }

  @Test
  void hostileNamesAreNeutralisedInMessages() throws IOException {
    ModelDraft draft = Drafts.bf16();
    draft.fill("evil\u202E\u200B.weight", ElementType.BF16, Shape.of(1), 0);
    draft.index.putObject("weight_map").put("a\u001b[31m\n.weight", "x\u001b[2J.safetensors");
    draft.write(folder);
    CheckReport report = full();
    assertThat(texts(report, Severity.FAIL)).isNotEmpty();
    assertThat(report.findings())
        .allSatisfy(
            finding -> assertThat(finding.text()).doesNotContainPattern("[\\p{Cc}\\p{Cf}\\p{Cs}]"));
    assertThat(texts(report, Severity.FAIL)).anyMatch(t -> t.contains("evil??.weight"));
  }

  @Test
  void anUnfinishedConversionIsNamed() throws IOException {
    Files.createDirectories(folder.resolve(".smelt"));
    assertThat(texts(full(), Severity.FAIL)).anyMatch(t -> t.contains("output-finished"));
  }

  @Test
  void aFolderWithoutWeightsCannotBeChecked() {
    assertThatThrownBy(this::full)
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("no *.safetensors file");
    assertThatThrownBy(() -> Check.run(folder.resolve("none"), Set.of(), CheckOptions.full()))
        .isInstanceOf(NoSuchFileException.class);
  }

  @Test
  void runtimesFollowFromTheQuantizationUnlessAsked() throws IOException {
    Drafts.int8Channel().write(folder);
    CheckReport derived = full();
    assertThat(derived.runtimes()).containsExactly(ServingRuntime.SGLANG);
    assertThat(derived.why())
        .isEqualTo("checked for sglang, because the checkpoint declares w8a8_int8");
    CheckReport asked = Check.run(folder, Set.of(ServingRuntime.ASCEND), CheckOptions.full());
    assertThat(texts(asked, Severity.FAIL)).singleElement().asString().contains("method-served");
  }

  @Test
  void tellsForHowManyNodesFp8ExpertsCanBeCut() throws IOException {
    Drafts.fp8Block(Drafts.config().put("moe_intermediate_size", 512)).write(folder.resolve("a"));
    CheckReport report = ofKTransformers("a");
    assertThat(texts(report, Severity.FAIL)).isEmpty();
    assertThat(texts(report, Severity.NOTE))
        .anySatisfy(note -> assertThat(note).contains("1 yes; 2 yes; 4 yes; 8 no"));
    Drafts.fp8Block(Drafts.config().put("moe_intermediate_size", 192)).write(folder.resolve("b"));
    assertThat(texts(ofKTransformers("b"), Severity.FAIL))
        .anySatisfy(fault -> assertThat(fault).contains("fp8-blocks-of-128", "multiples of 128"));
    Drafts.bf16().write(folder.resolve("c"));
    assertThat(ofKTransformers("c").skipped())
        .anySatisfy(skipped -> assertThat(skipped.rule()).isEqualTo("fp8-blocks-of-128"));
  }

  private CheckReport ofKTransformers(String name) throws IOException {
    return Check.run(
        folder.resolve(name), Set.of(ServingRuntime.KTRANSFORMERS), CheckOptions.full());
  }

  @Test
  void anUnknownArchitectureStillHasItsOtherRulesChecked() throws IOException {
    ModelDraft draft = Drafts.fp8Block();
    draft.config.putArray("architectures").add("SomethingNewForCausalLM");
    draft.remove(Drafts.ATTENTION + "o_proj.weight_scale_inv");
    draft.write(folder);
    CheckReport report = full();
    assertThat(report.skipped())
        .anyMatch(s -> s.rule().equals("weights-as-config") && s.reason().contains("Something"));
    assertThat(texts(report, Severity.FAIL)).singleElement().asString().contains("companions");
  }

  @Test
  void theTableOfTensorParallelSizesIsRight() throws IOException {
    Drafts.fp8Block().write(folder);
    assertThat(full().findings())
        .filteredOn(finding -> finding.rule().equals("tensor-parallel"))
        .singleElement()
        .satisfies(note ->
            assertThat(note.found())
                .startsWith("1 yes; 2 no (")
                .contains("8 no (4 attention heads / 8)"));
  }

  @Test
  void everyThreadCountGivesTheSameReport() throws IOException {
    ModelDraft draft = Drafts.fp8Block();
    draft.setFloat(Drafts.ATTENTION + "q_b_proj.weight_scale_inv", 0, 0);
    draft.bytes(Drafts.EXPERTS + "1.up_proj.weight")[5] = 0x7F;
    draft.write(folder);
    ManifestDraft.of(folder).write(folder);
    CheckReport one = Check.run(folder, Set.of(), new CheckOptions(true, 1));
    CheckReport eight = Check.run(folder, Set.of(), new CheckOptions(true, 8));
    assertThat(eight).isEqualTo(one);
    assertThat(one.count(Severity.FAIL)).isEqualTo(2);
  }
}
