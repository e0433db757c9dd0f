package smelt.calibrate.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.Checkout;

/// The compiled kernels are those of the sources.
class KernelImageTest {

  private static final Path MODULE = Checkout.root().resolve("calibrate");
  private static final Path SOURCES = MODULE.resolve("src/main/cuda");
  private static final Path COMPILED = MODULE.resolve("src/main/resources/smelt/calibrate/cuda");

  @TempDir Path folder;

  @Test
  void sourcesAndCompiledKernelsAreThoseThatWereRecorded()
      throws IOException, NoSuchAlgorithmException {
    Map<String, String> recorded = recorded(COMPILED);
    Map<String, String> found = new TreeMap<>();
    digests(SOURCES, found);
    digests(COMPILED, found);
    found.remove("build.sh");
    found.remove("kernels.sha256");
    assertThat(found).as("after a change of the sources: ./dev cuda").isEqualTo(recorded);
  }

  @Test
  void everyImageIsInTheProgram() {
    for (KernelImage image : KernelImage.values()) {
      byte[] bytes = image.bytes();
      // The magic number of NVIDIA's fat binaries.
      assertThat(HexFormat.of().formatHex(bytes, 0, 4)).as(image.file()).isEqualTo("50ed55ba");
    }
  }

  /// Compiling takes a minute, so `./dev cuda` asks for this test.
  @Test
  void compilingAgainGivesTheSameBytes()
      throws IOException, InterruptedException, NoSuchAlgorithmException {
    assumeTrue(
        Boolean.getBoolean("smelt.cuda.rebuild"),
        "not asked for: ./dev cuda compiles the kernels and compares");
    Process build =
        new ProcessBuilder(SOURCES.resolve("build.sh").toString(), folder.toString())
            .inheritIO()
            .start();
    assertThat(build.waitFor()).isZero();
    assertThat(recorded(folder)).isEqualTo(recorded(COMPILED));
  }

  private static Map<String, String> recorded(Path folder) throws IOException {
    Map<String, String> digests = new TreeMap<>();
    for (String line : Files.readAllLines(folder.resolve("kernels.sha256"))) {
      digests.put(line.substring(66), line.substring(0, 64));
    }
    return digests;
  }

  private static void digests(Path folder, Map<String, String> into)
      throws IOException, NoSuchAlgorithmException {
    MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        into.put(
            file.getFileName().toString(),
            HexFormat.of().formatHex(sha256.digest(Files.readAllBytes(file))));
      }
    }
  }

  @Test
  void theRecordIsPlainText() throws IOException {
    String text = Files.readString(COMPILED.resolve("kernels.sha256"), StandardCharsets.UTF_8);
    assertThat(text.lines()).allMatch(line -> line.matches("[0-9a-f]{64}  [a-z.]+"));
  }
}
