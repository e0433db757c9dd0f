package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class DoctorCommandTest {

  @TempDir Path folder;

  @Test
  void tellsWhatIsThere() {
    Program.Result result = Program.smelt().in(folder).go("doctor", "--json");
    assertThat(result.exit()).isZero();
    JsonNode json = JsonMapper.shared().readTree(result.out());
    assertThat(json.get("vector_module").asBoolean()).isTrue();
    assertThat(json.get("kernels").asString()).startsWith("vector");
    assertThat(json.get("processors").asInt())
        .isEqualTo(Runtime.getRuntime().availableProcessors());
    assertThat(json.get("memory_total").asLong()).isPositive();
    assertThat(json.get("disk_free").asLong()).isPositive();
    assertThat(json.get("cuda_driver").isBoolean()).isTrue();
  }

  @Test
  void showsAPersonOneFindingALine() {
    Program.Result result = Program.smelt().in(folder).go("doctor");
    assertThat(result.exit()).isZero();
    assertThat(result.out().lines())
        .hasSize(12)
        .anyMatch(line -> line.startsWith("Kernels "))
        .anyMatch(line -> line.endsWith(" free in " + folder.toAbsolutePath()));
  }
}
