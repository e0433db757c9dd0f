package smelt.calibrate.solve;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.solve.Method.Gptq;
import smelt.calibrate.solve.RowGrid.ScaleType;
import smelt.formats.ElementType;
import smelt.formats.Share;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.NonFiniteException;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;
import smelt.formats.experts.ScaleSearch;

class RowSolverTest {

  private static final int COLS = 384;

  /// Codes and scales of some rows.
  private static final class Solved {
    private final byte[] codes;
    private final float[] scales;

    Solved(byte[] codes, float[] scales) {
      this.codes = codes;
      this.scales = scales;
    }
  }

  private static Solved solve(RowGrid grid, Method method, Matrix weights) {
    int cols = (int) weights.cols();
    try (Arena arena = Arena.ofConfined()) {
      RowSolver solver = new RowSolver(KernelSet.choose("auto"), grid, method, cols, arena);
      MemorySegment codes = arena.allocate(weights.rows() * cols);
      MemorySegment scales = arena.allocate(Float.BYTES * weights.rows() * grid.groups(cols));
      solver.solve(weights, codes, scales);
      return new Solved(codes.toArray(JAVA_BYTE), scales.toArray(Matrix.F32.withByteAlignment(4)));
    }
  }

  private static Matrix weights(Arena arena, int rows, int cols, long seed) {
    Matrix weights = Matrix.zeros(arena, rows, cols);
    Random random = new Random(seed);
    for (int r = 0; r < rows; r++) {
      float[] row = ScaleWalkTest.tailed(random, cols, 1 + r % 2);
      MemorySegment.copy(row, 0, weights.data(), Matrix.F32, weights.at(r, 0), cols);
    }
    return weights;
  }

  private static HessianFactor factor(
      Arena arena, double[][] h, ColumnOrder order, String kernels) {
    Matrix moments = Matrix.zeros(arena, h.length, h.length);
    Textbook.copy(h, moments);
    try (Compute compute = new Compute(MathKernelSet.choose("auto"), KernelSet.choose("auto"), 2)) {
      return HessianFactor.of(
          compute, SolveKernelSet.choose(kernels), moments, Damping.STRONG, order, arena);
    }
  }

  static List<RowGrid> grids() {
    return List.of(
        RowGrid.wholeRow(COLS, 127, ScaleType.F32),
        RowGrid.wholeRow(COLS, 7, ScaleType.F32),
        new RowGrid(32, 7, ScaleType.BF16),
        new RowGrid(128, 7, ScaleType.BF16),
        new RowGrid(48, 127, ScaleType.BF16),
        new RowGrid(64, 7, ScaleType.F32));
  }

  private static List<Method> methods(Arena arena, RowGrid grid, String kernels) {
    double[][] h = Textbook.moments(new Random(51), COLS, 200);
    HessianFactor ordered = factor(arena, h, ColumnOrder.DESCENDING, kernels);
    HessianFactor given = factor(arena, h, ColumnOrder.GIVEN, kernels);
    Method weighted = new Method.Weighted(ordered.diagonal());
    Method start = new Gptq(given, Gptq.Scales.AT_GROUP_START);
    return 128 % grid.group() == 0
        ? List.of(new Method.Rounding(), weighted, new Gptq(ordered), start)
        : List.of(new Method.Rounding(), weighted, new Gptq(ordered));
  }

  static List<RowGrid> someGrids() {
    return Share.of(grids(), 3);
  }

  @ParameterizedTest
  @MethodSource("someGrids")
  void aRowsNumbersDoNotDependOnOtherRowsNorOnKernels(RowGrid grid) {
    try (Arena arena = Arena.ofShared()) {
      Matrix weights = weights(arena, 100, COLS, 52);
      List<Method> vector = methods(arena, grid, "vector");
      List<Method> scalar = methods(arena, grid, "scalar");
      for (int m = 0; m < vector.size(); m++) {
        Solved all = solve(grid, vector.get(m), weights);
        assertThat(solve(grid, scalar.get(m), weights)).usingRecursiveComparison().isEqualTo(all);
        for (int first : new int[] {0, 1, 47, 49, 99}) {
          int count = Math.min(7, 100 - first);
          Solved some = solve(grid, vector.get(m), weights.rows(first, count));
          int groups = grid.groups(COLS);
          for (int i = 0; i < count * COLS; i++) {
            assertThat(some.codes[i]).isEqualTo(all.codes[first * COLS + i]);
          }
          for (int i = 0; i < count * groups; i++) {
            assertThat(some.scales[i]).isEqualTo(all.scales[first * groups + i]);
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("grids")
  void codesAndScalesAreOfTheGrid(RowGrid grid) {
    try (Arena arena = Arena.ofShared()) {
      Matrix weights = weights(arena, 10, COLS, 53);
      for (int c = 0; c < COLS; c++) {
        weights.set(3, c, 0);
        weights.set(4, c, weights.get(4, c) * 1e-38f);
        weights.set(5, c, weights.get(5, c) * 1e38f);
      }
      for (Method method : methods(arena, grid, "auto")) {
        Solved solved = solve(grid, method, weights);
        for (byte code : solved.codes) {
          assertThat((int) code).isBetween(-grid.largest(), grid.largest());
        }
        int groups = grid.groups(COLS);
        for (int i = 0; i < solved.scales.length; i++) {
          float scale = solved.scales[i];
          assertThat(grid.scaleType().nearest(scale)).isEqualTo(scale);
          if (i / groups == 3) {
            assertThat(scale).isEqualTo(grid.emptyScale());
          } else if (i / groups != 4) {
            assertThat(scale).isBetween(Float.MIN_NORMAL, Float.MAX_VALUE);
          }
        }
      }
    }
  }

  @Test
  void roundsAsTheCodecsDo() {
    try (Arena arena = Arena.ofShared()) {
      Matrix weights = weights(arena, 5, COLS, 54);
      Solved int8 =
          solve(RowGrid.wholeRow(COLS, 127, ScaleType.F32), new Method.Rounding(), weights);
      byte[] codes = new byte[5 * COLS];
      float[] scales =
          transcode(
              arena, weights, new Encoding.Channel(ElementType.I8, ElementType.F32), codes, 5);
      assertThat(int8.codes).isEqualTo(codes);
      assertThat(int8.scales).isEqualTo(scales);

      Solved int4 = solve(RowGrid.wholeRow(COLS, 7, ScaleType.F32), new Method.Rounding(), weights);
      float[] row = new float[COLS];
      byte[] coded = new byte[COLS];
      for (int r = 0; r < 5; r++) {
        MemorySegment.copy(weights.data(), Matrix.F32, weights.at(r, 0), row, 0, COLS);
        assertThat(int4.scales[r]).isEqualTo(new ScaleSearch(7).quantize(row, 0, COLS, coded));
        assertThat(Arrays.copyOfRange(int4.codes, r * COLS, (r + 1) * COLS)).isEqualTo(coded);
      }
    }
  }

  @Test
  void roundsGroupsAsTheCodecOfInt4Does() {
    try (Arena arena = Arena.ofShared()) {
      Matrix weights = weights(arena, 5, COLS, 55);
      Solved groups = solve(new RowGrid(32, 7, ScaleType.BF16), new Method.Rounding(), weights);
      Encoding encoding = new Encoding.Int4(32, ElementType.BF16, -7);
      Tile from = Tile.plain(ElementType.F32, weights.data(), 0, 5, COLS);
      MemorySegment packed = arena.allocate(5 * COLS / 2);
      MemorySegment scales = arena.allocate(2L * 5 * COLS / 32);
      Transcoder.transcode(
          KernelSet.choose("auto"),
          from,
          new Tile(encoding, packed, 0, scales, 0, 5, COLS),
          arena.allocate(Transcoder.scratchBytes(from.encoding(), encoding, COLS)));
      for (int i = 0; i < 5 * COLS; i++) {
        int code = (packed.get(JAVA_BYTE, i / 2) >> (4 * (i % 2)) & 0xF) - 8;
        assertThat((int) groups.codes[i]).isEqualTo(code);
        int bits = scales.get(JAVA_SHORT_UNALIGNED, 2L * (i / 32)) << 16;
        assertThat(groups.scales[i / 32]).isEqualTo(Float.intBitsToFloat(bits));
      }
    }
  }

  private static float[] transcode(
      Arena arena, Matrix weights, Encoding to, byte[] codes, int scaleCount) {
    Tile from = Tile.plain(ElementType.F32, weights.data(), 0, weights.rows(), weights.cols());
    MemorySegment coded = arena.allocate(codes.length);
    MemorySegment scales = arena.allocate(4L * scaleCount, 4);
    Transcoder.transcode(
        KernelSet.choose("auto"),
        from,
        new Tile(to, coded, 0, scales, 0, weights.rows(), weights.cols()),
        arena.allocate(Transcoder.scratchBytes(from.encoding(), to, weights.cols())));
    MemorySegment.copy(coded, JAVA_BYTE, 0, codes, 0, codes.length);
    return scales.toArray(Matrix.F32.withByteAlignment(4));
  }

  /// Each code is the nearest to what the textbook has there after the codes before: it may differ
  /// where that is a tie but for rounding, after which both go ways of their own.
  @ParameterizedTest
  @CsvSource({"300, DESCENDING", "384, GIVEN", "40, DESCENDING"})
  void givesTheCodesOfTheTextbook(int cols, ColumnOrder order) {
    try (Arena arena = Arena.ofShared()) {
      double[][] h = Textbook.moments(new Random(56), cols, 3 * cols);
      HessianFactor factor = factor(arena, h, order, "auto");
      int[] columns = factor.columns();
      double mean = IntStream.range(0, cols).mapToDouble(i -> h[i][i]).average().orElseThrow();
      double[][] damped = new double[cols][cols];
      for (int i = 0; i < cols; i++) {
        for (int j = 0; j < cols; j++) {
          damped[i][j] = h[columns[i]][columns[j]] + (i == j ? 0.1 * mean : 0);
        }
      }
      double[][] u = Textbook.upperOfInverse(damped);
      Matrix weights = weights(arena, 60, cols, 57);
      Solved solved = solve(RowGrid.wholeRow(cols, 7, ScaleType.F32), new Gptq(factor), weights);
      int same = 0;
      for (int r = 0; r < 60; r++) {
        double[] row = new double[cols];
        for (int c = 0; c < cols; c++) {
          row[c] = weights.get(r, c);
        }
        byte[] codes = Arrays.copyOfRange(solved.codes, r * cols, (r + 1) * cols);
        assertThat(farthest(row, codes, solved.scales[r], u, columns)).isLessThan(0.501);
        int[] textbook = Textbook.codes(row, solved.scales[r], 7, u, columns);
        same += IntStream.range(0, cols).allMatch(i -> textbook[i] == codes[i]) ? 1 : 0;
      }
      assertThat(same).isGreaterThan(48);
    }
  }

  /// How far, in steps, a code is from what the textbook would round; what is cut off counts as
  /// nothing.
  private static double farthest(
      double[] weights, byte[] codes, double scale, double[][] u, int[] columns) {
    double[] w = IntStream.of(columns).mapToDouble(c -> weights[c]).toArray();
    double farthest = 0;
    for (int i = 0; i < w.length; i++) {
      byte code = codes[columns[i]];
      double x = w[i] / scale;
      farthest = Math.max(farthest, Math.abs(Math.clamp(x, -7, 7) - code));
      double error = (w[i] - scale * code) / u[i][i];
      for (int j = i; j < w.length; j++) {
        w[j] -= error * u[i][j];
      }
    }
    return farthest;
  }

  @Test
  void roundsColumnsThatWereAlwaysZeroToTheNearest() {
    try (Arena arena = Arena.ofShared()) {
      double[][] h = Textbook.moments(new Random(58), COLS, 500);
      for (int dead : new int[] {0, 77, COLS - 1}) {
        for (int i = 0; i < COLS; i++) {
          h[dead][i] = 0;
          h[i][dead] = 0;
        }
      }
      HessianFactor factor = factor(arena, h, ColumnOrder.DESCENDING, "auto");
      assertThat(factor.deadColumns()).isEqualTo(3);
      Matrix weights = weights(arena, 9, COLS, 59);
      Solved solved = solve(RowGrid.wholeRow(COLS, 7, ScaleType.F32), new Gptq(factor), weights);
      for (int r = 0; r < 9; r++) {
        for (int dead : new int[] {0, 77, COLS - 1}) {
          double nearest = Math.rint(weights.get(r, dead) / solved.scales[r]);
          assertThat((double) solved.codes[r * COLS + dead]).isEqualTo(Math.clamp(nearest, -7, 7));
        }
      }
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (Arena arena = Arena.ofShared()) {
      Matrix weights = weights(arena, 2, COLS, 60);
      weights.set(1, 5, Float.NaN);
      RowGrid grid = RowGrid.wholeRow(COLS, 7, ScaleType.F32);
      for (Method method : methods(arena, grid, "auto")) {
        assertThatThrownBy(() -> solve(grid, method, weights))
            .isInstanceOf(NonFiniteException.class)
            .hasMessageContaining("row 1, column 5");
      }
      HessianFactor factor =
          factor(arena, Textbook.moments(new Random(1), 8, 9), ColumnOrder.DESCENDING, "auto");
      assertThatThrownBy(() -> solve(grid, new Gptq(factor), weights))
          .hasMessageContaining("8 channels");
      assertThatThrownBy(() -> new Gptq(factor, Gptq.Scales.AT_GROUP_START))
          .hasMessageContaining("given order");
      assertThatThrownBy(() -> solve(grid, new Method.Weighted(new float[3]), weights))
          .hasMessageContaining("3 columns");
      assertThatThrownBy(() -> new Method.Weighted(new float[] {1, -1}))
          .hasMessageContaining("column 1");
      assertThatThrownBy(
              () -> solve(new RowGrid(100, 7, ScaleType.F32), new Method.Rounding(), weights))
          .hasMessageContaining("groups of 100");
    }
  }

  @Test
  void statesItsMemory() {
    for (RowGrid grid : grids()) {
      try (Arena arena = Arena.ofShared()) {
        for (Method method : methods(arena, grid, "auto")) {
          MemorySegment memory = arena.allocate(RowSolver.bytes(grid, method, COLS) + 64, 64);
          new RowSolver(
              KernelSet.choose("auto"),
              grid,
              method,
              COLS,
              SegmentAllocator.slicingAllocator(memory));
        }
      }
    }
  }
}
