package smelt.verify;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Each rule finds what it is for, in a checkpoint that is good otherwise.
class RulesTest {

  @TempDir Path folder;

  /// Those on checkpoints; [GgufCheckTest] and [KtCheckTest] have the others.
  static List<String> names() {
    return Check.rules().stream()
        .map(RuleText::name)
        .filter(name -> !name.startsWith("gguf-") && !name.startsWith("kt-"))
        .toList();
  }

  @Test
  void everyRuleHasACheckpointThatBreaksIt() {
    assertThat(BrokenCheckpoints.byRule().keySet()).containsExactlyInAnyOrderElementsOf(names());
    assertThat(names()).doesNotHaveDuplicates().allMatch(name -> name.matches("[a-z0-9-]+"));
  }

  @ParameterizedTest
  @MethodSource("names")
  void aBrokenCheckpointBreaksThisRuleOnly(String rule) throws IOException {
    BrokenCheckpoints.Broken broken = BrokenCheckpoints.byRule().get(rule);
    broken.write(folder);
    CheckReport report = Check.run(folder, broken.runtimes(), CheckOptions.full());
    List<Finding> found = report.findings().stream().filter(f -> f.rule().equals(rule)).toList();
    List<Finding> others = report.findings().stream().filter(f -> !f.rule().equals(rule)).toList();
    assertThat(others)
        .allSatisfy(f -> assertThat(f.severity()).as(f.text()).isEqualTo(Severity.NOTE));
    assertThat(found).isNotEmpty();
    assertThat(found.getFirst().severity()).isEqualTo(broken.severity());
    assertThat(found).allSatisfy(f -> assertThat(f.consequence()).hasSizeGreaterThan(20));
    assertThat(report.failed()).isEqualTo(broken.severity() == Severity.FAIL);
    if (broken.severity() != Severity.NOTE) {
      assertThat(report.passed()).doesNotContain(rule);
    }
  }

  static Stream<Arguments> goodDrafts() {
    return Stream.of(
        good("bf16", Drafts::bf16),
        good("fp8 block", Drafts::fp8Block),
        good("fp8 tensor", Drafts::fp8Tensor),
        good("int8 block", Drafts::int8Block),
        good("int8 channel", Drafts::int8Channel),
        good("compressed-tensors int8", Drafts::ctInt8),
        good("compressed-tensors fp8 channel", Drafts::ctFp8Channel),
        good("compressed-tensors fp8 block", Drafts::ctFp8Block),
        good("compressed-tensors int4", Drafts::ctInt4),
        good("packed int4 experts", Drafts::rawInt4),
        good("ascend", Drafts::ascend));
  }

  private static Arguments good(String name, Supplier<ModelDraft> draft) {
    return Arguments.of(name, draft);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("goodDrafts")
  void goodCheckpointsPassEveryRule(String name, Supplier<ModelDraft> draft) throws IOException {
    draft.get().write(folder);
    ManifestDraft.of(folder).write(folder);
    CheckReport report = Check.run(folder, Set.of(), CheckOptions.full());
    assertThat(report.findings())
        .as(name)
        .allSatisfy(f -> assertThat(f.severity()).as(f.text()).isEqualTo(Severity.NOTE));
    assertThat(report.passed().size() + report.skipped().size()).isEqualTo(names().size());
    assertThat(report.passed())
        .contains("weights-as-config", "closed-world", "tensor-digests", "file-digests");
  }
}
