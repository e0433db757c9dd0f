package smelt.verify;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufValue;

/// Each rule on GGUF finds its fault, and none finds one in a sound model.
class GgufCheckTest {

  @TempDir Path folder;

  private static CheckReport check(Path model) throws IOException {
    return Check.run(model, Set.of(), CheckOptions.full());
  }

  /// The only rule that fails is this one, and it says so.
  private static void assertFails(Path model, String rule, String found) throws IOException {
    List<Finding> findings = check(model).findings();
    assertThat(findings).extracting(Finding::rule).containsOnly(rule);
    assertThat(findings.getFirst().severity()).isEqualTo(Severity.FAIL);
    assertThat(findings.getFirst().text()).contains(found);
  }

  @Test
  void findsNothingInSoundModels() throws IOException {
    CheckReport llama = check(GgufFixture.llama().write(folder));
    assertThat(llama.findings()).isEmpty();
    assertThat(llama.why()).contains("llama.cpp");
    assertThat(llama.passed())
        .contains("gguf-tensors-as-metadata", "gguf-tokenizer-arrays", "gguf-values-finite");
    assertThat(llama.figures()).containsEntry("tensors", 12L).containsEntry("shards", 1L);
    assertThat(check(GgufFixture.deepSeek().write(folder)).findings()).isEmpty();
    assertThat(check(folder.resolve(GgufFixture.FILE)).findings()).isEmpty();
  }

  @Test
  void findsNothingInAModelOfParts() throws IOException {
    GgufFixture.llama().writeParts(folder);
    assertThat(check(folder).findings()).isEmpty();
    CheckReport second = check(folder.resolve("model-00002-of-00002.gguf"));
    assertThat(second.findings()).isEmpty();
    assertThat(second.figures()).containsEntry("shards", 2L);
  }

  @Test
  void namesAFileThatIsCutShort() throws IOException {
    Path file = GgufFixture.llama().write(folder).resolve(GgufFixture.FILE);
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, java.util.Arrays.copyOf(bytes, bytes.length - 32));
    assertFails(folder, "gguf-headers-readable", "bytes of data");
  }

  @Test
  void namesAPartThatIsMissing() throws IOException {
    GgufFixture.llama().writeParts(folder);
    Files.delete(folder.resolve("model-00002-of-00002.gguf"));
    List<Finding> findings = check(folder).findings();
    assertThat(findings.getFirst().rule()).isEqualTo("gguf-parts-complete");
    assertThat(findings.getFirst().text()).contains("1 of 2 parts");
  }

  @Test
  void namesAPartUnderAnotherName() throws IOException {
    GgufFixture.llama().writeParts(folder);
    Files.move(
        folder.resolve("model-00002-of-00002.gguf"), folder.resolve("other-00002-of-00002.gguf"));
    assertFails(folder, "gguf-parts-complete", "model-00002-of-00002.gguf");
  }

  @Test
  void namesATensorThatIsInTwoFiles() throws IOException {
    GgufFixture.llama().write(folder);
    GgufFixture.llama().write(Files.createDirectory(folder.resolve("again")));
    Files.move(folder.resolve("again").resolve(GgufFixture.FILE), folder.resolve("second.gguf"));
    List<Finding> findings = check(folder).findings();
    assertThat(findings).extracting(Finding::rule).contains("gguf-names-unique");
  }

  @ParameterizedTest
  @CsvSource({
    "llama.block_count",
    "llama.embedding_length",
    "llama.context_length",
    "llama.attention.head_count",
    "llama.attention.layer_norm_rms_epsilon",
    "llama.feed_forward_length",
    "general.architecture"
  })
  void namesAKeyThatIsMissing(String key) throws IOException {
    GgufFixture made = GgufFixture.llama();
    made.metadata.remove(key);
    assertFails(made.write(folder), "gguf-metadata-complete", key);
  }

  @Test
  void namesTensorsThatMetadataDoesNotImply() throws IOException {
    GgufFixture made = GgufFixture.llama();
    made.tensor("blk.1.attn_norm.weight", GgmlType.F32, 64);
    assertFails(made.write(folder), "gguf-tensors-as-metadata", "does not have");
  }

  @Test
  void namesTensorsThatAreMissing() throws IOException {
    GgufFixture made = GgufFixture.llama();
    made.tensors.remove("blk.0.ffn_up.weight");
    assertFails(made.write(folder), "gguf-tensors-as-metadata", "no tensor blk.0.ffn_up.weight");
  }

  @Test
  void namesTensorsOfOtherDimensions() throws IOException {
    GgufFixture made = GgufFixture.llama();
    made.tensor("blk.0.ffn_down.weight", GgmlType.F32, 64, 96);
    assertFails(made.write(folder), "gguf-tensors-as-metadata", "dimensions [64, 96]");
  }

  @Test
  void namesAnotherNumberOfDenseLayersOrExperts() throws IOException {
    GgufFixture made = GgufFixture.deepSeek();
    made.number("deepseek2.leading_dense_block_count", 2);
    assertFails(made.write(folder), "gguf-tensors-as-metadata", "does not have");
    GgufFixture other = GgufFixture.deepSeek();
    other.number("deepseek2.expert_count", 6);
    assertFails(other.write(folder), "gguf-tensors-as-metadata", "6]");
  }

  @Test
  void namesExpertsThatDoNotFitGroups() throws IOException {
    GgufFixture made = GgufFixture.deepSeek();
    made.number("deepseek2.expert_group_count", 3);
    assertFails(made.write(folder), "gguf-experts-consistent", "3 groups of 4 experts");
    made.number("deepseek2.expert_group_count", 2);
    made.number("deepseek2.expert_used_count", 5);
    assertFails(made.write(folder), "gguf-experts-consistent", "used_count 5");
  }

  @Test
  void saysWhoReadsInterleavedRows() throws IOException {
    GgufFixture made = GgufFixture.llama();
    made.tensor("blk.0.ffn_up.weight", GgmlType.Q8_0_R8, 64, 96);
    Finding note = check(made.write(folder)).findings().getFirst();
    assertThat(note.severity()).isEqualTo(Severity.NOTE);
    assertThat(note.text()).contains("blk.0.ffn_up.weight in Q8_0_R8").contains("ik_llama.cpp");
  }

  @Test
  void namesAnEmbeddingWhoseRowsAreInterleaved() throws IOException {
    GgufFixture made = GgufFixture.llama();
    made.tensor("token_embd.weight", GgmlType.Q4_0_R8, 64, 8);
    made.metadata.keySet().removeIf(key -> key.startsWith("tokenizer."));
    made.tensor("output.weight", GgmlType.F32, 64, 8);
    assertFails(made.write(folder), "gguf-interleaved-rows", "Q4_0_R8");
  }

  /// The first scale of the second group of a tensor: the eight of the first are sound.
  @Test
  void findsABrokenScaleAmongInterleavedRows() throws IOException {
    GgufFixture made = GgufFixture.llama();
    made.tensor("blk.0.ffn_up.weight", GgmlType.Q8_0_R8, 64, 96);
    made.write(folder, "blk.0.ffn_up.weight", 8 * 34 + 14, 0x7C00);
    assertThat(check(folder).findings())
        .filteredOn(finding -> finding.rule().equals("gguf-values-finite"))
        .singleElement()
        .satisfies(finding -> assertThat(finding.text()).contains("block 1"));
  }

  @Test
  void namesTypesThatHoldNoWeights() throws IOException {
    GgufFixture made = GgufFixture.llama();
    made.tensor("blk.0.ffn_up.weight", GgmlType.Q8_1, 64, 96);
    assertFails(made.write(folder), "gguf-types-served", "Q8_1");
  }

  @Test
  void namesNormsThatAreNotF32() throws IOException {
    GgufFixture made = GgufFixture.llama();
    made.tensor("output_norm.weight", GgmlType.BF16, 64);
    assertFails(made.write(folder), "gguf-vectors-f32", "BF16");
  }

  @Test
  void wantsTheVersionOfQuantization() throws IOException {
    GgufFixture made = GgufFixture.llama();
    made.metadata.remove("general.quantization_version");
    assertFails(made.write(folder), "gguf-quantization-version", "absent");
  }

  @Test
  void namesTokenizerArraysOfAnotherLengthOrKind() throws IOException {
    GgufFixture made = GgufFixture.llama();
    made.metadata.put("tokenizer.ggml.token_type", GgufValue.ints(List.of(1, 1)));
    assertFails(made.write(folder), "gguf-tokenizer-arrays", "2 entries");
    made = GgufFixture.llama();
    made.metadata.put("tokenizer.ggml.scores", GgufValue.ints(List.of(1, 1, 1)));
    assertFails(made.write(folder), "gguf-tokenizer-arrays", "scores of another kind");
    made = GgufFixture.llama();
    made.metadata.put("tokenizer.ggml.merges", GgufValue.texts(List.of("a b", "ab")));
    assertFails(made.write(folder), "gguf-tokenizer-arrays", "merges[1]");
  }

  @Test
  void namesSpecialTokensOutsideTheVocabulary() throws IOException {
    GgufFixture made = GgufFixture.llama();
    made.number("tokenizer.ggml.eos_token_id", 3);
    assertFails(made.write(folder), "gguf-special-tokens", "eos_token_id 3");
  }

  @ParameterizedTest
  @CsvSource({
    "blk.0.attn_q.weight, 34, 31744, a scale in block 1",
    "blk.0.attn_v.weight, 22, 32256, a scale in block 1",
    "blk.0.ffn_down.weight, 0, 64512, a scale in block 0",
    "blk.0.attn_output.weight, 4, 65408, a number at 2",
    "blk.0.ffn_gate.weight, 2, 31745, a number at 1",
    "output_norm.weight, 6, 32640, a number at 1"
  })
  void namesWhatIsNotFinite(String tensor, long at, int half, String found) throws IOException {
    assertFails(GgufFixture.llama().write(folder, tensor, at, half), "gguf-values-finite", found);
  }

  /// Codes of any bits are numbers.
  @Test
  void doesNotTakeCodesForScales() throws IOException {
    GgufFixture.llama().write(folder, "blk.0.attn_q.weight", 36, 0x7C00);
    assertThat(check(folder).findings()).isEmpty();
  }

  @Test
  void skipsWhatItDoesNotKnow() throws IOException {
    GgufFixture made = GgufFixture.llama();
    made.text("general.architecture", "mamba");
    CheckReport report = check(made.write(folder));
    assertThat(report.findings()).isEmpty();
    assertThat(report.skipped())
        .contains(
            new CheckReport.Skipped(
                "gguf-tensors-as-metadata", "the tensors of mamba are not known"));
  }

  @Test
  void readsNoDataWhenAskedToBeQuick() throws IOException {
    GgufFixture.llama().write(folder, "output_norm.weight", 6, 0x7F80);
    CheckReport report = Check.run(folder, Set.of(), CheckOptions.quick());
    assertThat(report.findings()).isEmpty();
    assertThat(report.figures()).containsEntry("data_bytes_read", 0L);
  }
}
