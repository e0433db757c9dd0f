package smelt.calibrate.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Runs a tokenizer in a process of its own and looks at what that process did.
class OfflineTest {

  @TempDir Path folder;

  /// What the process runs.
  static final class Encode {
    private Encode() {}

    public static void main(String[] args) throws IOException {
      try (Tokenizer tokenizer =
          Tokenizer.parse("tokenizer.json", Files.readAllBytes(Path.of(args[0])))) {
        System.out.println("ids " + tokenizer.encode("The Senate").length);
      }
    }
  }

  @Test
  void aTokenizerTouchesNeitherTheNetworkNorTheHomeFolder() throws Exception {
    Path home = Files.createDirectory(folder.resolve("home"));
    Path temporary = Files.createDirectory(folder.resolve("tmp"));
    Path said = folder.resolve("said");
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-Xshare:off",
                "-XX:TieredStopAtLevel=1",
                "-Xlog:class+load:stdout",
                "-Duser.home=" + home,
                "-Djava.io.tmpdir=" + temporary,
                "-cp",
                System.getProperty("java.class.path"),
                Encode.class.getName(),
                Samples.model().resolve(Tokenizer.FILE).toString())
            .redirectErrorStream(true)
            .redirectOutput(said.toFile())
            .start();
    assertThat(process.waitFor()).as(Files.readString(said)).isZero();
    List<String> loaded = Files.readAllLines(said);
    assertThat(loaded).anyMatch(line -> line.matches("ids [1-9]"));
    assertThat(loaded).anyMatch(line -> line.contains(" smelt.calibrate.text.Tokenizer "));
    assertThat(loaded.stream().filter(line -> line.contains(" ai.djl.")))
        .singleElement()
        .asString()
        .contains("ai.djl.huggingface.tokenizers.jni.TokenizersLibrary");
    assertThat(loaded)
        .noneMatch(line ->
            line.matches(
                ".* (java\\.net\\.(Socket|InetAddress)|sun\\.net\\.www\\.protocol\\.http).*"));
    assertThat(filesBelow(home)).isEmpty();
    assertThat(filesBelow(temporary)).isEmpty();
  }

  private static List<Path> filesBelow(Path folder) throws IOException {
    try (Stream<Path> all = Files.walk(folder)) {
      return all.filter(Files::isRegularFile).toList();
    }
  }
}
