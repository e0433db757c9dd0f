package smelt.verify;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Set;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.checkpoint.DeepSeekV3Fixture;

/// DeepSeek-V3 and V3.2 in their true sizes; data is a hole, so only headers are checked.
class DeepSeekV3CheckTest {

  @TempDir static Path v3;
  @TempDir static Path v32;

  @BeforeAll
  static void write() throws IOException {
    DeepSeekV3Fixture.write(v3);
    DeepSeekV3Fixture.writeV32(v32);
  }

  @Test
  void v3IsCleanInSeconds() {
    CheckReport report =
        Assertions.assertTimeout(
            Duration.ofSeconds(60), () -> Check.run(v3, Set.of(), CheckOptions.quick()));
    assertThat(report.findings())
        .allSatisfy(f -> assertThat(f.severity()).as(f.text()).isNotEqualTo(Severity.FAIL));
    assertThat(report.runtimes()).containsExactly(ServingRuntime.VLLM, ServingRuntime.SGLANG);
    assertThat(report.figures())
        .containsEntry("tensors", DeepSeekV3Fixture.TENSORS)
        .containsEntry("tensor_bytes", DeepSeekV3Fixture.TENSOR_BYTES)
        .containsEntry("quantized_weights", 45_808L)
        .containsEntry("data_bytes_read", 0L);
    assertThat(report.findings())
        .filteredOn(f -> f.rule().equals("tensor-parallel"))
        .singleElement()
        .satisfies(
            f -> assertThat(f.found()).startsWith("1 yes; 2 yes; 4 yes; 8 yes; 16 yes; 32 no"));
  }

  @Test
  void v32IsCleanToo() throws IOException {
    CheckReport report = Check.run(v32, Set.of(), CheckOptions.quick());
    assertThat(report.failed()).isFalse();
    assertThat(report.passed()).contains("weights-as-config", "companions-complete");
    assertThat(report.figures()).containsEntry("tensors", DeepSeekV3Fixture.V32_TENSORS);
  }

  @Test
  void aMissingShardNamesEveryWeightThatIsGone(@TempDir Path copy) throws IOException {
    DeepSeekV3Fixture.write(copy);
    try (DirectoryStream<Path> shards = Files.newDirectoryStream(copy, "model-00100-*")) {
      Files.delete(shards.iterator().next());
    }
    CheckReport report = Check.run(copy, Set.of(), CheckOptions.quick());
    assertThat(report.findings())
        .filteredOn(f -> f.severity() == Severity.FAIL)
        .anyMatch(f -> f.rule().equals("index-files-exist"))
        .anyMatch(f -> f.rule().equals("weights-as-config"))
        .hasSizeGreaterThan(100);
  }
}
