package smelt.calibrate.solve;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.solve.Method.Gptq;
import smelt.calibrate.solve.RowGrid.ScaleType;
import smelt.formats.Share;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;

/// What solvers gain on made-up weights, and what that takes of an expert's own tokens; prints the
/// table. 48 rows of 768 weights, Student t with 6 degrees of freedom; inputs `x = S (M + E) z`
/// with `S` channel gains, `M` the layer's mixing, whose spectrum falls as `1 / i`, and `E` the
/// expert's own, a third as large. Figures are `10 log10(sum (w x)^2 / sum ((w - v) x)^2)` over the
/// expert's true distribution.
class SolverFiguresTest {

  private static final int N = 768;
  private static final int ROWS = 48;
  private static final double OWN_SHARE = 0.35;
  private static final int[] TOKENS =
      Share.of(new int[] {8, 128, 512}, new int[] {8, 32, 128, 512, 2048});

  private final Kernels codec = KernelSet.choose("auto");
  private final SolveKernels kernels = SolveKernelSet.choose("auto");
  private final Map<String, double[]> table = new LinkedHashMap<>();

  @Test
  void gptqWithThePoolGainsThreeDecibelsAndWithOwnTokensMore() {
    try (Arena arena = Arena.ofShared();
        Compute compute = new Compute(MathKernelSet.choose("auto"), codec, 2)) {
      Layer layer = new Layer(arena, compute);
      fixedRows(layer);
      for (int t = 0; t < TOKENS.length; t++) {
        rowsOfOwnTokens(layer, t);
      }
      print();
      double exact = at("exact, plain", 128);
      double pool = at("GPTQ pool, damp 0.01", 128);
      assertThat(exact - at("absmax", 128)).isGreaterThan(2);
      assertThat(pool - exact).isGreaterThan(3);
      assertThat(at("GPTQ own, damp 0.1", 128)).isLessThan(pool - 1);
      assertThat(at("GPTQ own, damp 0.01", 128)).isLessThan(pool - 1);
      for (int tokens : TOKENS) {
        assertThat(at("GPTQ shrunk 1024, damp 0.01", tokens)).isGreaterThan(pool - 0.02);
      }
      assertThat(at("GPTQ shrunk 1024, damp 0.01", 512)).isGreaterThan(pool + 0.3);
      assertThat(at("g128 GPTQ pool, beforehand, descending", 128))
          .isGreaterThan(at("g128 exact, weighted", 128) + 2);
    }
  }

  private double at(String row, int tokens) {
    return table.get(row)[Arrays.binarySearch(TOKENS, tokens)];
  }

  private void put(String row, int column, double value) {
    table.computeIfAbsent(row, _ -> new double[TOKENS.length])[column] = value;
  }

  private void putAll(String row, double value) {
    for (int t = 0; t < TOKENS.length; t++) {
      put(row, t, value);
    }
  }

  private void print() {
    System.out.printf("%-42s", "tokens of the expert");
    for (int tokens : TOKENS) {
      System.out.printf("%7d", tokens);
    }
    System.out.println();
    table.forEach((name, values) -> {
      System.out.printf("%-42s", name);
      for (double value : values) {
        System.out.printf("%7.2f", value);
      }
      System.out.println();
    });
  }

  /// A layer, one of its experts, and weights.
  private final class Layer {
    private final Arena arena;
    private final Compute compute;
    private final Random random = new Random(81);
    private final float[] gains = new float[N];
    private final Matrix shared;
    private final Matrix expert;
    private final Matrix truth;
    private final Matrix pool;
    private final Matrix weights;

    Layer(Arena arena, Compute compute) {
      this.arena = arena;
      this.compute = compute;
      for (int i = 0; i < N; i++) {
        gains[i] = (float) Math.exp(0.7 * random.nextGaussian());
      }
      shared = mixing(null, 1);
      expert = mixing(shared, OWN_SHARE);
      truth = covariance(expert, 1);
      pool = covariance(expert, 0);
      for (int e = 0; e < 8; e++) {
        Matrix other = covariance(mixing(shared, OWN_SHARE), 1);
        for (int i = 0; i < N; i++) {
          for (int j = 0; j < N; j++) {
            pool.set(i, j, pool.get(i, j) + other.get(i, j) / 8);
          }
        }
      }
      weights = Matrix.zeros(arena, ROWS, N);
      for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < N; c++) {
          weights.set(r, c, (float) (0.02 * studentT(6)));
        }
      }
    }

    private double studentT(int freedom) {
      double square = 0;
      for (int i = 0; i < freedom; i++) {
        double g = random.nextGaussian();
        square += g * g;
      }
      return random.nextGaussian() / Math.sqrt(square / freedom);
    }

    private Matrix mixing(Matrix base, double share) {
      Matrix mixing = Matrix.zeros(arena, N, N);
      for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
          double own = share * gains[i] * random.nextGaussian() / Math.sqrt(1.0 + j);
          mixing.set(i, j, (float) (own + (base == null ? 0 : base.get(i, j))));
        }
      }
      return mixing;
    }

    private Matrix covariance(Matrix mixing, float factor) {
      Matrix out = Matrix.zeros(arena, N, N);
      compute.multiply(mixing, mixing, out);
      for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
          out.set(i, j, factor * out.get(i, j));
        }
      }
      return out;
    }

    /// Mean of `x xT` of some tokens.
    Matrix observed(int tokens) {
      Matrix z = Matrix.zeros(arena, tokens, N);
      for (int t = 0; t < tokens; t++) {
        for (int j = 0; j < N; j++) {
          z.set(t, j, (float) random.nextGaussian());
        }
      }
      Matrix x = Matrix.zeros(arena, tokens, N);
      compute.multiply(z, expert, x);
      Matrix turned = Matrix.zeros(arena, N, tokens);
      for (int t = 0; t < tokens; t++) {
        for (int j = 0; j < N; j++) {
          turned.set(j, t, x.get(t, j) / (float) Math.sqrt(tokens));
        }
      }
      return covariance(turned, 1);
    }

    Gptq gptq(Matrix moments, double damp, ColumnOrder order, Gptq.Scales scales) {
      Damping damping = new Damping(damp, 0.01, 1);
      HessianFactor factor = HessianFactor.of(compute, kernels, moments, damping, order, arena);
      assertThat(factor.damping()).isEqualTo(damp);
      return new Gptq(factor, scales);
    }

    /// Decibels at the output; scales fitted by `rescale` first, unless it is null.
    double gain(RowGrid grid, Method method, Matrix rescale) {
      MemorySegment codes = arena.allocate(ROWS * N);
      MemorySegment scales = arena.allocate(4L * ROWS * grid.groups(N));
      new RowSolver(codec, grid, method, N, arena).solve(weights, codes, scales);
      if (rescale != null) {
        new OutputRescale(kernels, grid, new Moments.Full(rescale), N, arena)
            .apply(weights, codes, scales);
      }
      return decibels(grid, codes, scales);
    }

    double decibels(RowGrid grid, MemorySegment codes, MemorySegment scales) {
      Matrix errors = Matrix.zeros(arena, ROWS, N);
      for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < N; c++) {
          float scale = scales.get(Matrix.F32, 4L * ((long) r * grid.groups(N) + c / grid.group()));
          float value = codes.get(JAVA_BYTE, (long) r * N + c) * scale;
          errors.set(r, c, weights.get(r, c) - value);
        }
      }
      return 10 * Math.log10(power(weights) / power(errors));
    }

    private double power(Matrix rows) {
      Matrix product = Matrix.zeros(arena, ROWS, N);
      compute.multiply(rows, truth, product);
      double sum = 0;
      for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < N; c++) {
          sum += (double) rows.get(r, c) * product.get(r, c);
        }
      }
      return sum;
    }

    double absmax(RowGrid grid) {
      MemorySegment codes = arena.allocate(ROWS * N);
      MemorySegment scales = arena.allocate(4L * ROWS * grid.groups(N));
      for (int r = 0; r < ROWS; r++) {
        float absmax = 0;
        for (int c = 0; c < N; c++) {
          absmax = Math.max(absmax, Math.abs(weights.get(r, c)));
        }
        scales.set(Matrix.F32, 4L * r, absmax / 7);
        for (int c = 0; c < N; c++) {
          codes.set(JAVA_BYTE, (long) r * N + c, grid.code(weights.get(r, c), absmax / 7));
        }
      }
      return decibels(grid, codes, scales);
    }
  }

  private static float[] diagonal(Matrix moments) {
    float[] diagonal = new float[N];
    for (int i = 0; i < N; i++) {
      diagonal[i] = moments.get(i, i);
    }
    return diagonal;
  }

  private void fixedRows(Layer layer) {
    RowGrid row = RowGrid.wholeRow(N, 7, ScaleType.F32);
    Matrix pool = layer.pool;
    putAll("absmax", layer.absmax(row));
    putAll("exact, plain", layer.gain(row, new Method.Rounding(), null));
    Method weighted = new Method.Weighted(diagonal(pool));
    putAll("exact, weighted by pool", layer.gain(row, weighted, null));
    putAll("the same, rescaled by pool", layer.gain(row, weighted, pool));
    for (double damp : new double[] {0.01, 0.1}) {
      for (ColumnOrder order : ColumnOrder.values()) {
        String name = "GPTQ pool, damp " + damp + (order == ColumnOrder.GIVEN ? ", given" : "");
        Method gptq = layer.gptq(pool, damp, order, Gptq.Scales.BEFOREHAND);
        putAll(name, layer.gain(row, gptq, null));
        if (damp == 0.01) {
          putAll(name + ", rescaled", layer.gain(row, gptq, pool));
        }
      }
    }
    for (int size : new int[] {32, 128}) {
      groups(layer, size);
    }
  }

  private void groups(Layer layer, int size) {
    String name = "g" + size + " ";
    RowGrid grid = new RowGrid(size, 7, ScaleType.BF16);
    Matrix pool = layer.pool;
    putAll(name + "exact, plain", layer.gain(grid, new Method.Rounding(), null));
    putAll(name + "exact, weighted", layer.gain(grid, new Method.Weighted(diagonal(pool)), null));
    for (Gptq.Scales scales : Gptq.Scales.values()) {
      Method given = layer.gptq(pool, 0.01, ColumnOrder.GIVEN, scales);
      String when = scales == Gptq.Scales.BEFOREHAND ? "beforehand" : "at start";
      putAll(name + "GPTQ pool, " + when + ", given", layer.gain(grid, given, null));
    }
    Method ordered = layer.gptq(pool, 0.01, ColumnOrder.DESCENDING, Gptq.Scales.BEFOREHAND);
    putAll(name + "GPTQ pool, beforehand, descending", layer.gain(grid, ordered, null));
  }

  private void rowsOfOwnTokens(Layer layer, int t) {
    RowGrid row = RowGrid.wholeRow(N, 7, ScaleType.F32);
    Matrix own = layer.observed(TOKENS[t]);
    put("exact, weighted by own", t, layer.gain(row, new Method.Weighted(diagonal(own)), null));
    for (double damp : new double[] {0.01, 0.1}) {
      Method gptq = layer.gptq(own, damp, ColumnOrder.DESCENDING, Gptq.Scales.BEFOREHAND);
      put("GPTQ own, damp " + damp, t, layer.gain(row, gptq, null));
    }
    for (int kappa : new int[] {256, 1024}) {
      Matrix shrunk = Matrix.zeros(layer.arena, N, N);
      new Shrinkage(kappa).apply(layer.compute, own, TOKENS[t], layer.pool, shrunk);
      for (double damp : new double[] {0.01, 0.1}) {
        Method gptq = layer.gptq(shrunk, damp, ColumnOrder.DESCENDING, Gptq.Scales.BEFOREHAND);
        String name = "GPTQ shrunk " + kappa + ", damp " + damp;
        put(name, t, layer.gain(row, gptq, null));
        if (damp == 0.01) {
          put(name + ", rescaled", t, layer.gain(row, gptq, shrunk));
        }
      }
    }
  }
}
