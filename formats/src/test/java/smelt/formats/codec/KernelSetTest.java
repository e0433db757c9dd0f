package smelt.formats.codec;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.formats.Share;

/// Choosing kernels, in this JVM and in ones that lack the module or have narrower vectors.
class KernelSetTest {

  @Test
  void choosesByNameAndNamesWhatItChose() {
    assertThat(KernelSet.choose("scalar").name()).isEqualTo("scalar");
    assertThat(KernelSet.choose("vector").name()).matches("vector-\\d+");
    assertThat(KernelSet.choose("auto").name()).startsWith("vector");
    assertThatThrownBy(() -> KernelSet.choose("fast"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("'fast'");
  }

  @Test
  void withoutTheModuleAutoIsScalarAndVectorAnErrorThatSaysWhy() throws Exception {
    assertThat(inAnotherJvm("choose", "auto")).contains("scalar");
    assertThat(inAnotherJvm("choose", "vector"))
        .contains("UnsupportedException")
        .contains("started without --add-modules jdk.incubator.vector");
  }

  static List<Integer> widths() {
    return Share.of(List.of(16, 64, 32), 1);
  }

  @ParameterizedTest
  @MethodSource("widths")
  void givesTheSameBytesWithNarrowerVectors(int bytes) throws Exception {
    assertThat(
            inAnotherJvm(
                "agree", "--add-modules", "jdk.incubator.vector", "-XX:MaxVectorSize=" + bytes))
        .contains("agrees");
  }

  /// The other JVM's work.
  static void main(String[] args) {
    if (args[0].equals("choose")) {
      System.out.println(KernelSet.choose(args[1]).name());
      return;
    }
    Kernels vector = KernelSet.choose("vector");
    Random random = new Random(23);
    for (Codec codec : Codec.values()) {
      for (int count = 0; count < 300; count++) {
        byte[] in = KernelsContract.input(codec, random, count);
        byte[] scales = KernelsContract.bytes(new float[] {1.5e-3f, 0.25f, 3e-6f, 40f});
        byte[] expected = KernelsContract.run(new ScalarKernels(), codec, in, scales, 96, 1);
        if (!Arrays.equals(KernelsContract.run(vector, codec, in, scales, 96, 1), expected)) {
          throw new AssertionError(vector.name() + " " + codec + " " + count);
        }
      }
    }
    System.out.println(vector.name() + " agrees");
  }

  private static String inAnotherJvm(String work, String... options)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    boolean choose = work.equals("choose");
    if (!choose) {
      command.addAll(List.of(options));
    }
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.addAll(List.of(KernelSetTest.class.getName(), work));
    if (choose) {
      command.addAll(List.of(options));
    }
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    process.waitFor();
    return output;
  }
}
