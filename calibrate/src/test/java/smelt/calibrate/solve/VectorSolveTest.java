package smelt.calibrate.solve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class VectorSolveTest extends SolveKernelsContract {

  @Override
  SolveKernels kernels() {
    return SolveKernelSet.choose("vector");
  }

  @Test
  void areChosenByName() {
    assertThat(SolveKernelSet.choose("auto").name()).startsWith("vector-");
    assertThat(SolveKernelSet.choose("scalar").name()).isEqualTo("scalar");
    assertThatThrownBy(() -> SolveKernelSet.choose("fast")).hasMessageContaining("'fast'");
  }

  @ParameterizedTest
  @ValueSource(ints = {16, 32})
  void giveTheSameWithNarrowerVectors(int bytes) throws Exception {
    assertThat(inAnotherJvm(bytes)).contains("vector-" + 8 * bytes + " agrees");
  }

  private static String inAnotherJvm(int vectorBytes) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    Collections.addAll(
        command, "--add-modules", "jdk.incubator.vector", "-XX:MaxVectorSize=" + vectorBytes);
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add(VectorSolveTest.class.getName());
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    process.waitFor();
    return output;
  }

  /// The other JVM's work.
  static void main() {
    VectorSolveTest test = new VectorSolveTest();
    for (int width : new int[] {1, 16, 31, 32, 50, 128}) {
      test.addsProductsInTheOrderOfTheColumns(width);
    }
    System.out.println(test.kernels().name() + " agrees");
  }
}
