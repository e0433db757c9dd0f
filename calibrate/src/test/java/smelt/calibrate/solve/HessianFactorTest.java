package smelt.calibrate.solve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.formats.codec.KernelSet;

class HessianFactorTest {

  private static Compute compute(int threads) {
    return new Compute(MathKernelSet.choose("auto"), KernelSet.choose("auto"), threads);
  }

  private static HessianFactor factor(Arena arena, Matrix h, Damping damping, ColumnOrder order) {
    return factor(arena, h, damping, order, 2, "auto");
  }

  private static HessianFactor factor(
      Arena arena, Matrix h, Damping damping, ColumnOrder order, int threads, String kernels) {
    try (Compute compute = compute(threads)) {
      return HessianFactor.of(compute, SolveKernelSet.choose(kernels), h, damping, order, arena);
    }
  }

  /// With `U` the textbook's factor of the inverse, `R = inverse(U)`, so that for each `i < j` the
  /// sum over `k` of `R[i][k] U[k][j]` is 0. The factor is off by some roundings of F32, `n 2^-24`
  /// of numbers that are larger than what is left of them, the pivot `1 / U[k][k]^2`, by at most
  /// `H[k][k] U[k][k]^2`.
  @ParameterizedTest
  @ValueSource(ints = {1, 31, 128, 129, 300})
  void isTheInverseOfTheTextbooksFactor(int n) {
    try (Arena arena = Arena.ofShared()) {
      double[][] h = Textbook.moments(new Random(41), n, 2 * n);
      Matrix moments = Matrix.zeros(arena, n, n);
      Textbook.copy(h, moments);
      HessianFactor factor = factor(arena, moments, Damping.LIGHT, ColumnOrder.DESCENDING);
      assertThat(factor.damping()).isEqualTo(0.01);
      double[][] ordered = ordered(h, factor);
      double[][] u = Textbook.upperOfInverse(ordered);
      double lost = 1;
      for (int k = 0; k < n; k++) {
        lost = Math.max(lost, ordered[k][k] * u[k][k] * u[k][k]);
      }
      assertThat(lost).isLessThan(n == 1 ? 2 : 5000);
      assertThat(worst(factor, u)).isLessThan(n * 0x1p-24 * lost);
    }
  }

  private static double worst(HessianFactor factor, double[][] u) {
    double worst = 0;
    for (int j = 0; j < u.length; j++) {
      for (int i = 0; i < j; i++) {
        double sum = u[i][j] / u[i][i];
        double size = Math.abs(sum);
        for (int k = i + 1; k <= j; k++) {
          double term = factor.coupling(i, k) * u[k][j] / u[k][k];
          sum += term;
          size += Math.abs(term);
        }
        worst = Math.max(worst, Math.abs(sum) / size);
      }
    }
    return worst;
  }

  private static double[][] ordered(double[][] h, HessianFactor factor) {
    int n = h.length;
    double mean = 0;
    for (int i = 0; i < n; i++) {
      mean += (float) h[i][i] / n;
    }
    int[] columns = factor.columns();
    double[][] ordered = new double[n][n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        ordered[i][j] = (float) h[columns[i]][columns[j]];
      }
      ordered[i][i] += factor.damping() * mean;
    }
    return ordered;
  }

  @ParameterizedTest
  @EnumSource(ColumnOrder.class)
  void isTheSameForAnyThreadsAndKernels(ColumnOrder order) {
    int n = 700;
    try (Arena arena = Arena.ofShared()) {
      Matrix moments = Matrix.zeros(arena, n, n);
      Textbook.copy(Textbook.moments(new Random(42), n, 200), moments);
      HessianFactor one = factor(arena, moments, Damping.STRONG, order, 1, "scalar");
      for (int threads = 1; threads <= 3; threads++) {
        HessianFactor other = factor(arena, moments, Damping.STRONG, order, threads, "vector");
        assertThat(other.blocks().mismatch(one.blocks())).isEqualTo(-1);
      }
      assertThat(one.blocks().byteSize()).isEqualTo(HessianFactor.bytes(n));
    }
  }

  @Test
  void ordersByFallingMeanSquareAndEqualOnesAsTheyAre() {
    try (Arena arena = Arena.ofShared()) {
      Matrix moments = diagonal(arena, 1, 3, 2, 3, 0);
      HessianFactor factor = factor(arena, moments, Damping.LIGHT, ColumnOrder.DESCENDING);
      assertThat(factor.columns()).containsExactly(1, 3, 2, 0, 4);
      assertThat(factor.deadColumns()).isEqualTo(1);
      HessianFactor given = factor(arena, moments, Damping.LIGHT, ColumnOrder.GIVEN);
      assertThat(given.columns()).containsExactly(0, 1, 2, 3, 4);
    }
  }

  @Test
  void addsMoreWhereItMustAndSaysHowMuch() {
    try (Arena arena = Arena.ofShared()) {
      Matrix moments = diagonal(arena, 1, 1);
      moments.set(0, 1, 1.045f);
      moments.set(1, 0, 1.045f);
      HessianFactor factor = factor(arena, moments, Damping.LIGHT, ColumnOrder.GIVEN);
      assertThat(factor.damping()).isCloseTo(0.07, within(1e-9));
      moments.set(0, 1, 5f);
      assertThatThrownBy(() -> factor(arena, moments, Damping.LIGHT, ColumnOrder.GIVEN))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("not positive definite");
    }
  }

  @Test
  void isNothingWhereNothingWasSeen() {
    try (Arena arena = Arena.ofShared()) {
      HessianFactor factor =
          factor(arena, Matrix.zeros(arena, 3, 3), Damping.LIGHT, ColumnOrder.GIVEN);
      assertThat(factor.deadColumns()).isEqualTo(3);
      assertThat(factor.coupling(0, 2)).isZero();
    }
  }

  @Test
  void refusesWhatAreNoSecondMoments() {
    try (Arena arena = Arena.ofShared()) {
      assertThatThrownBy(
              () -> factor(arena, Matrix.zeros(arena, 3, 4), Damping.LIGHT, ColumnOrder.GIVEN))
          .hasMessageContaining("3 x 4");
      assertThatThrownBy(
              () -> factor(arena, diagonal(arena, 1, -1), Damping.LIGHT, ColumnOrder.GIVEN))
          .hasMessageContaining("channel 1 is -1");
      Matrix moments = diagonal(arena, 1, 1);
      moments.set(0, 1, Float.NaN);
      assertThatThrownBy(() -> factor(arena, moments, Damping.LIGHT, ColumnOrder.GIVEN))
          .hasStackTraceContaining("channels 0 and 1 is NaN");
    }
  }

  private static Matrix diagonal(Arena arena, float... numbers) {
    Matrix matrix = Matrix.zeros(arena, numbers.length, numbers.length);
    for (int i = 0; i < numbers.length; i++) {
      matrix.set(i, i, numbers[i]);
    }
    return matrix;
  }
}
