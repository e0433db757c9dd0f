package smelt.calibrate.math;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.formats.Share;

class VectorMathTest extends MathKernelsContract {

  @Override
  MathKernels kernels() {
    return MathKernelSet.choose("vector");
  }

  @Test
  void areChosenByName() {
    assertThat(MathKernelSet.choose("auto").name()).startsWith("vector-");
    assertThat(MathKernelSet.choose("scalar").name()).isEqualTo("scalar");
    assertThatThrownBy(() -> MathKernelSet.choose("fast")).hasMessageContaining("'fast'");
  }

  @Test
  void computesOnTheHeapToo() {
    MemorySegment x = MemorySegment.ofArray(new float[] {1, 2, 3});
    MemorySegment out = MemorySegment.ofArray(new float[] {9});
    kernels().multiplyRow(x, 0, 12, 1, x, 0, 3, out, 0, false);
    assertThat(out.get(Matrix.F32, 0)).isEqualTo(14f);
    int width = kernels().panelWidth();
    float[] panel = new float[width];
    panel[width - 1] = 3;
    float[] sums = new float[MathKernels.GROUP_ROWS * width];
    float[] rows = {1, 2, 4, 8};
    kernels().multiplyGroups(rows, 1, panel, width, 1, MemorySegment.ofArray(sums), 0);
    assertThat(sums[sums.length - 1]).isEqualTo(24f);
    assertThat(sums[width - 1]).isEqualTo(3f);
    assertThat(sums[0]).isZero();
  }

  /// A sum is a chain in the order of the columns, so cutting it changes nothing.
  @Test
  void addsTheSameWhetherColumnsComeAtOnceOrInParts() {
    int width = kernels().panelWidth();
    try (Arena arena = Arena.ofConfined()) {
      Random random = new Random(51);
      Guarded rows = Guarded.normal(arena, 7, 100, random);
      Guarded panel = Guarded.normal(arena, 100, width, random);
      Matrix packed = Matrix.zeros(arena, 100, width);
      for (int r = 0; r < 100; r++) {
        for (int t = 0; t < width; t++) {
          packed.set(r, t, panel.matrix().get(r, t));
        }
      }
      Matrix once = Matrix.zeros(arena, 7, width);
      Matrix parts = Matrix.zeros(arena, 7, width);
      add(rows, packed, 0, 100, once);
      add(rows, packed, 0, 37, parts);
      add(rows, packed, 37, 63, parts);
      assertThat(parts.data().mismatch(once.data())).isEqualTo(-1);
    }
  }

  private void add(Guarded rows, Matrix panel, int first, int count, Matrix out) {
    kernels()
        .multiplyPanel(
            rows.data(),
            rows.at(0, first),
            rows.strideBytes(),
            7,
            panel.data(),
            panel.at(first, 0),
            kernels().panelWidth(),
            count,
            out.data(),
            0);
  }

  /// Rows are multiplied by another method when they are `ROW_STRIDE` apart, and in groups.
  @Test
  void howRowsLieDoesNotChangeABit() {
    try (Arena arena = Arena.ofConfined()) {
      Random random = new Random(53);
      int width = kernels().panelWidth();
      Guarded panel = Guarded.normal(arena, 384, width, random);
      Matrix packed = Matrix.zeros(arena, 384, width);
      Guarded rows = Guarded.normal(arena, 7, 384, random);
      Matrix close = Matrix.zeros(arena, 7, MathKernels.ROW_STRIDE / Float.BYTES);
      for (int i = 0; i < 384; i++) {
        for (int t = 0; t < width; t++) {
          packed.set(i, t, panel.matrix().get(i, t));
        }
        for (int r = 0; r < 7; r++) {
          close.set(r, i, rows.matrix().get(r, i));
        }
      }
      Matrix expected = Matrix.zeros(arena, 7, width);
      Matrix found = Matrix.zeros(arena, 7, width);
      add(rows, packed, 0, 384, expected);
      kernels()
          .multiplyPanel(
              close.data(),
              0,
              MathKernels.ROW_STRIDE,
              7,
              packed.data(),
              0,
              width,
              384,
              found.data(),
              0);
      assertThat(found.data().mismatch(expected.data())).isEqualTo(-1);
      int beside = MathKernels.GROUP_ROWS;
      float[] grouped = new float[2 * 384 * beside];
      for (int r = 0; r < 7; r++) {
        for (int i = 0; i < 384; i++) {
          grouped[(r / beside * 384 + i) * beside + r % beside] = rows.matrix().get(r, i);
        }
      }
      Matrix sums = Matrix.zeros(arena, 2L * beside, width);
      float[] numbers = packed.data().toArray(Matrix.F32);
      kernels().multiplyGroups(grouped, 2, numbers, width, 384, sums.data(), 0);
      MemorySegment first = sums.data().asSlice(0, expected.data().byteSize());
      assertThat(first.mismatch(expected.data())).isEqualTo(-1);
    }
  }

  /// Bytes of vectors; in a check the next narrower than this processor's.
  static List<Integer> widths() {
    int half = Math.max(16, FloatVector.SPECIES_MAX.vectorByteSize() / 2);
    return Share.of(List.of(half), List.of(16, 32, 64));
  }

  /// The JVM cuts a width that the processor lacks to the one that it has.
  @ParameterizedTest
  @MethodSource("widths")
  void keepTheirContractWithNarrowerVectors(int bytes) throws Exception {
    int bits = Math.min(8 * bytes, FloatVector.SPECIES_MAX.vectorBitSize());
    assertThat(inAnotherJvm(bytes)).contains("vector-" + bits + " agrees");
  }

  private static String inAnotherJvm(int vectorBytes) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    Collections.addAll(
        command, "--add-modules", "jdk.incubator.vector", "-XX:MaxVectorSize=" + vectorBytes);
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add(VectorMathTest.class.getName());
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    process.waitFor();
    return output;
  }

  /// The other JVM's work: the tests again, with its vectors.
  @SuppressWarnings("JUnitMethodInvoked")
  static void main() {
    VectorMathTest test = new VectorMathTest();
    for (int count : new int[] {0, 1, 17, 64}) {
      test.addsProductsWithAPanel(count);
      test.addsProductsOfGroupsWithAPanel(count);
      test.multipliesRowsWithARow(count);
      test.addsScaledNumbersWithOneRounding(count);
      test.normsByTheRootOfTheMeanSquare(count + 1);
      test.givesTheSoftmax(count + 1);
      test.multipliesWithTheSigmoidLinearUnit(count + 1);
      test.rotatesPairs(count + 1);
      test.transposesExactly(count);
      test.takesTheSoftmaxInSteps(count - 1);
      test.dividesColumns(count);
    }
    test.addsProductsWithAPanel(397);
    test.howRowsLieDoesNotChangeABit();
    test.computesOnTheHeapToo();
    new ComputeTest().givesTheSameOnAnyNumberOfThreadsAndForAnyOtherTokens();
    System.out.println(test.kernels().name() + " agrees");
  }
}
