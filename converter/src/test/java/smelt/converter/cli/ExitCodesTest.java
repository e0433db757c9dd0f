package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.converter.Program;

/// Runs the real program, or its command line around a planted end, as a process.
class ExitCodesTest {

  @TempDir Path folder;

  @Test
  void helpAndVersionEndWith0() {
    Program.Result help = Program.run("--help");
    assertThat(help.exit()).isZero();
    assertThat(help.out()).startsWith("Usage: smelt").contains("recipes").contains("doctor");
    assertThat(help.err()).isEmpty();
    Program.Result version = Program.run("--version");
    assertThat(version.exit()).isZero();
    assertThat(version.out()).matches("smelt \\d+\\.\\d+\\.\\d+\\R");
  }

  @Test
  void anUnknownOptionEndsWith2AndASuggestion() {
    Program.Result result = Program.run("recipes", "--jsn");
    assertThat(result.exit()).isEqualTo(2);
    assertThat(result.out()).isEmpty();
    assertThat(result.err())
        .contains("error: Unknown option: '--jsn'")
        .contains("did you mean '--json'?");
  }

  @Test
  void anUnknownCommandEndsWith2AndASuggestion() {
    Program.Result result = Program.run("recpies");
    assertThat(result.exit()).isEqualTo(2);
    assertThat(result.err()).contains("did you mean 'recipes'?");
  }

  @Test
  void noCommandEndsWith2() {
    assertThat(Program.run().exit()).isEqualTo(2);
  }

  @Test
  void anUnknownRecipeKeyEndsWith2AndALineAndASuggestion() throws IOException {
    Path file = folder.resolve("r.yaml");
    Files.writeString(file, "name: x\ntargts: [bf16]\n");
    Program.Result result = Program.smelt().brief().in(folder).go("recipes", "r.yaml");
    assertThat(result.exit()).isEqualTo(2);
    assertThat(result.err())
        .contains("error: r.yaml line 2: found unknown key 'targts'")
        .contains("did you mean 'targets'?");
  }

  @ParameterizedTest
  @CsvSource({
    "recipe, 2, r.yaml line 1: found a",
    "bad-input, 3, f: found a?[31m?error: forged",
    "unsupported, 3, DeepSeek-V9 is not supported; V3 works",
    "refused, 4, help: --memory 2G",
    "disk-full, 4, No space left on device",
    "conflict, 5, out: found plan a",
    "units, 6, unit 3: found a read error",
    "io, 6, gone.safetensors: no such file",
    "interrupted, 75, out: found a signal",
    "fault, 70, java.lang.IllegalStateException: planted fault",
    "memory, 70, java.lang.OutOfMemoryError: Java heap space"
  })
  void everyEndHasItsCodeAndItsMessage(String how, int code, String message) {
    Program.Result result = Program.of(ThrowingMain.class).brief().go("end", how);
    assertThat(result.err()).startsWith("error: ").contains(message);
    assertThat(result.err().contains("this is a fault in Smelt")).isEqualTo(code == 70);
    assertThat(result.err().contains("\tat smelt.")).isEqualTo(code == 70);
    assertThat(result.err()).doesNotContain("\u001b");
    assertThat(result.exit()).isEqualTo(code);
  }
}
