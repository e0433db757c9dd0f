package smelt.calibrate.math;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// What every set of kernels does, beside the same in F64.
///
/// Bounds are derived from the number of roundings: with `u = 2^-24`, a sum of `n` products in any
/// order is off by at most `n u / (1 - n u)` of the sum of their magnitudes.
abstract class MathKernelsContract {

  /// Half the distance of 1 and the next F32.
  static final double U = 0x1p-24;

  /// Error of an exponential, relative.
  private static final double EXP = 0x1p-22;

  /// What is below the least exponential may be taken for 0.
  private static final double TINY = 0x1p-125;

  abstract MathKernels kernels();

  /// Relative error of `n` roundings.
  static double bound(double n) {
    return n * U / (1 - n * U);
  }

  /// Rows of 397 numbers and the gap behind them are `ROW_STRIDE` apart.
  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 7, 64, 255, 301, 397})
  void addsProductsWithAPanel(int count) {
    Random random = new Random(41 + count);
    for (int width : new int[] {kernels().panelWidth(), kernels().narrowWidth()}) {
      for (int rowCount : new int[] {1, 5, 6, 7, 13}) {
        try (Arena arena = Arena.ofConfined()) {
          Guarded rows = Guarded.normal(arena, rowCount, count, random);
          Guarded panel = Guarded.normal(arena, 1, count * width, random);
          Guarded out = Guarded.normal(arena, 1, rowCount * width, random);
          float[] before = out.numbers();
          kernels()
              .multiplyPanel(
                  rows.data(),
                  rows.at(0, 0),
                  rows.strideBytes(),
                  rowCount,
                  panel.data(),
                  panel.at(0, 0),
                  width,
                  count,
                  out.data(),
                  out.at(0, 0));
          for (int i = 0; i < before.length; i++) {
            double sum = before[i];
            double magnitudes = Math.abs(sum);
            for (int k = 0; k < count; k++) {
              double product = rows.get(i / width, k) * panel.get(0, (long) k * width + i % width);
              sum += product;
              magnitudes += Math.abs(product);
            }
            assertThat(out.get(0, i)).isCloseTo(sum, within(bound(count + 1) * magnitudes));
          }
          rows.assertGuards();
          out.assertGuards();
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 7, 255, 256})
  void addsProductsOfGroupsWithAPanel(int count) {
    Random random = new Random(40 + count);
    int width = kernels().panelWidth();
    int beside = MathKernels.GROUP_ROWS;
    for (int groups : new int[] {1, 3}) {
      try (Arena arena = Arena.ofConfined()) {
        float[] rows = Guarded.normal(arena, 1, groups * count * beside + 5, random).numbers();
        float[] panel = Guarded.normal(arena, 1, count * width + 5, random).numbers();
        Guarded out = Guarded.normal(arena, 1, groups * beside * width, random);
        float[] before = out.numbers();
        kernels().multiplyGroups(rows, groups, panel, width, count, out.data(), out.at(0, 0));
        for (int i = 0; i < before.length; i++) {
          int row = i / width;
          double sum = before[i];
          double magnitudes = Math.abs(sum);
          for (int k = 0; k < count; k++) {
            float factor = rows[(row / beside * count + k) * beside + row % beside];
            double product = (double) factor * panel[k * width + i % width];
            sum += product;
            magnitudes += Math.abs(product);
          }
          assertThat(out.get(0, i)).isCloseTo(sum, within(bound(count + 1) * magnitudes));
        }
        out.assertGuards();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 3, 15, 16, 17, 31, 32, 33, 64, 100, 1031})
  void multipliesRowsWithARow(int count) {
    Random random = new Random(42 + count);
    for (int rowCount : new int[] {1, 3, 4, 5, 8, 11}) {
      for (boolean add : new boolean[] {false, true}) {
        try (Arena arena = Arena.ofConfined()) {
          Guarded rows = Guarded.normal(arena, rowCount, count, random);
          Guarded x = Guarded.normal(arena, 1, count, random);
          Guarded out = Guarded.normal(arena, 1, rowCount, random);
          float[] before = out.numbers();
          kernels()
              .multiplyRow(
                  rows.data(),
                  rows.at(0, 0),
                  rows.strideBytes(),
                  rowCount,
                  x.data(),
                  x.at(0, 0),
                  count,
                  out.data(),
                  out.at(0, 0),
                  add);
          for (int r = 0; r < rowCount; r++) {
            double sum = add ? before[r] : 0;
            double magnitudes = Math.abs(sum);
            for (int k = 0; k < count; k++) {
              double product = rows.get(r, k) * x.get(0, k);
              sum += product;
              magnitudes += Math.abs(product);
            }
            assertThat(out.get(0, r)).isCloseTo(sum, within(bound(count + 1) * magnitudes));
          }
          out.assertGuards();
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 5, 16, 37})
  void transposesExactly(int cols) {
    Random random = new Random(43);
    for (int rows = 0; rows < 20; rows++) {
      try (Arena arena = Arena.ofConfined()) {
        Guarded in = Guarded.normal(arena, rows, cols, random);
        Guarded out = Guarded.zeros(arena, /* rows= */ cols, /* cols= */ rows);
        kernels()
            .transpose(
                in.data(),
                in.at(0, 0),
                in.strideBytes(),
                rows,
                cols,
                out.data(),
                out.at(0, 0),
                out.strideBytes());
        for (int r = 0; r < rows; r++) {
          for (int c = 0; c < cols; c++) {
            assertThat(out.get(c, r)).isEqualTo(in.get(r, c));
          }
        }
        out.assertGuards();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 7, 8, 15, 16, 17, 33, 100})
  void addsScaledNumbersWithOneRounding(int count) {
    Random random = new Random(44 + count);
    try (Arena arena = Arena.ofConfined()) {
      Guarded x = Guarded.normal(arena, 1, count, random);
      Guarded into = Guarded.normal(arena, 1, count, random);
      float[] before = into.numbers();
      kernels().addScaled(0.37f, x.data(), x.at(0, 0), into.data(), into.at(0, 0), count);
      float[] after = into.numbers();
      for (int i = 0; i < count; i++) {
        assertThat(after[i]).isEqualTo(Math.fma(0.37f, x.matrix().get(0, i), before[i]));
      }
      into.assertGuards();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 15, 16, 63, 64, 65, 200, 2048})
  void normsByTheRootOfTheMeanSquare(int count) {
    Random random = new Random(45 + count);
    try (Arena arena = Arena.ofConfined()) {
      Guarded x = Guarded.normal(arena, 1, count, random);
      Guarded weight = Guarded.normal(arena, 1, count, random);
      Guarded out = Guarded.zeros(arena, 1, count);
      double squares = 0;
      for (int i = 0; i < count; i++) {
        squares += x.get(0, i) * x.get(0, i);
      }
      double factor = 1 / Math.sqrt(squares / count + 1e-6);
      norm(x, weight, out, count);
      for (int i = 0; i < count; i++) {
        double expected = x.get(0, i) * factor * weight.get(0, i);
        // Half of the error of the squares, as a root is taken of them, and three roundings.
        double error = bound(count / 2.0 + 4) * Math.abs(expected);
        assertThat(out.get(0, i)).isCloseTo(expected, within(error));
      }
      out.assertGuards();
      norm(x, weight, x, count);
      assertThat(x.numbers()).as("in place").isEqualTo(out.numbers());
    }
  }

  private void norm(Guarded x, Guarded weight, Guarded out, int count) {
    kernels()
        .rmsNorm(
            x.data(),
            x.at(0, 0),
            weight.data(),
            weight.at(0, 0),
            1e-6,
            out.data(),
            out.at(0, 0),
            count);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 15, 16, 17, 50, 129280})
  void givesTheSoftmax(int count) {
    Random random = new Random(46 + count);
    try (Arena arena = Arena.ofConfined()) {
      Guarded x = Guarded.normal(arena, 1, count, random);
      double max = Double.NEGATIVE_INFINITY;
      for (int i = 0; i < count; i++) {
        x.matrix().set(0, i, i % 7 == 3 ? Float.NEGATIVE_INFINITY : (float) (30 * x.get(0, i)));
        max = Math.max(max, x.get(0, i));
      }
      double[] expected = new double[count];
      double sum = 0;
      for (int i = 0; i < count; i++) {
        expected[i] = Math.exp(x.get(0, i) - max);
        sum += expected[i];
      }
      kernels().softmax(x.data(), x.at(0, 0), count);
      for (int i = 0; i < count; i++) {
        double p = expected[i] / sum;
        // x - max is rounded, before the exponential of at most 88; the sum has its own errors.
        double error = 2 * (EXP + 88 * U) + bound(count + 4);
        assertThat(x.get(0, i)).isCloseTo(p, within(error * p + TINY));
      }
      x.assertGuards();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 15, 16, 17, 250_000})
  void multipliesWithTheSigmoidLinearUnit(int count) {
    Random random = new Random(47 + count);
    try (Arena arena = Arena.ofConfined()) {
      Guarded gate = Guarded.normal(arena, 1, count, random);
      Guarded up = Guarded.normal(arena, 1, count, random);
      for (int i = 0; i < count; i++) {
        gate.matrix().set(0, i, (i - count / 2) * 210f / count + (float) gate.get(0, i));
      }
      float[] gates = gate.numbers();
      kernels()
          .siluMultiply(
              gate.data(),
              gate.at(0, 0),
              up.data(),
              up.at(0, 0),
              gate.data(),
              gate.at(0, 0),
              count);
      for (int i = 0; i < count; i++) {
        double expected = gates[i] / (1 + Math.exp(-gates[i])) * up.get(0, i);
        double error = (EXP + bound(3)) * Math.abs(expected) + 0x1p-118 * Math.abs(up.get(0, i));
        assertThat(gate.get(0, i)).as("%s", gates[i]).isCloseTo(expected, within(error));
      }
      gate.assertGuards();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 4, 15, 16, 17, 32, 64})
  void rotatesPairs(int pairs) {
    Random random = new Random(48 + pairs);
    for (RopeLayout layout : RopeLayout.values()) {
      try (Arena arena = Arena.ofConfined()) {
        Guarded x = Guarded.normal(arena, 1, 2 * pairs, random);
        Guarded cos = Guarded.normal(arena, 1, pairs, random);
        Guarded sin = Guarded.normal(arena, 1, pairs, random);
        float[] before = x.numbers();
        kernels()
            .rope(
                x.data(),
                x.at(0, 0),
                cos.data(),
                cos.at(0, 0),
                sin.data(),
                sin.at(0, 0),
                pairs,
                layout);
        for (int i = 0; i < pairs; i++) {
          int first = layout == RopeLayout.INTERLEAVED ? 2 * i : i;
          int second = layout == RopeLayout.INTERLEAVED ? 2 * i + 1 : i + pairs;
          double a = before[first];
          double b = before[second];
          double c = cos.get(0, i);
          double s = sin.get(0, i);
          double error = bound(2) * (Math.abs(a * c) + Math.abs(b * s));
          assertThat(x.get(0, first)).isCloseTo(a * c - b * s, within(error));
          error = bound(2) * (Math.abs(b * c) + Math.abs(a * s));
          assertThat(x.get(0, second)).isCloseTo(b * c + a * s, within(error));
        }
        x.assertGuards();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {-3, 0, 2, 100})
  void takesTheSoftmaxInSteps(int seen) {
    Random random = new Random(49);
    int valueRows = 5;
    for (int width : new int[] {kernels().panelWidth(), kernels().narrowWidth()}) {
      for (int keys : new int[] {1, 6, 23}) {
        try (Arena arena = Arena.ofConfined()) {
          Guarded scores = Guarded.normal(arena, 1, keys * width, random);
          Guarded state = Guarded.normal(arena, 1, 2 * width, random);
          Guarded values = Guarded.normal(arena, 1, valueRows * width, random);
          float[] s = scores.numbers();
          float[] m = state.numbers();
          float[] v = values.numbers();
          kernels()
              .softmaxStep(
                  scores.data(),
                  scores.at(0, 0),
                  keys,
                  width,
                  2.5f,
                  seen,
                  state.data(),
                  state.at(0, 0),
                  values.data(),
                  values.at(0, 0),
                  valueRows);
          for (int t = 0; t < width; t++) {
            float max = m[t];
            for (int j = 0; j < keys && j <= seen + t; j++) {
              max = Math.max(max, 2.5f * s[j * width + t]);
            }
            assertThat(state.get(0, t)).isEqualTo(max);
            double factor = Math.exp((double) m[t] - max);
            double sum = factor * m[width + t];
            double magnitudes = Math.abs(sum);
            // Scores of at most 16 are scaled, subtracted and exponentiated.
            double error = EXP + bound(2 * 16);
            for (int j = 0; j < keys; j++) {
              double e = j <= seen + t ? Math.exp(2.5 * s[j * width + t] - max) : 0;
              sum += e;
              magnitudes += e;
              assertThat(scores.get(0, j * width + t)).isCloseTo(e, within(error * e + TINY));
            }
            error += bound(keys + 1);
            assertThat(state.get(0, width + t)).isCloseTo(sum, within(error * magnitudes));
            for (int d = 0; d < valueRows; d++) {
              double value = factor * v[d * width + t];
              assertThat(values.get(0, d * width + t))
                  .isCloseTo(value, within(error * Math.abs(value)));
            }
          }
          scores.assertGuards();
          state.assertGuards();
          values.assertGuards();
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void dividesColumns(int rows) {
    Random random = new Random(50);
    int width = kernels().panelWidth();
    try (Arena arena = Arena.ofConfined()) {
      Guarded values = Guarded.normal(arena, 1, rows * width, random);
      Guarded divisors = Guarded.normal(arena, 1, width, random);
      float[] v = values.numbers();
      float[] d = divisors.numbers();
      kernels()
          .divideColumns(
              values.data(), values.at(0, 0), rows, width, divisors.data(), divisors.at(0, 0));
      for (int i = 0; i < v.length; i++) {
        assertThat(values.matrix().get(0, i)).isEqualTo(v[i] / d[i % width]);
      }
      values.assertGuards();
    }
  }
}
