package smelt.calibrate.math;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.UnsupportedException;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.codec.Tile;
import smelt.formats.codec.TileDecoder;

class ComputeTest {

  private static Compute compute(String kernels, int threads) {
    return new Compute(MathKernelSet.choose(kernels), KernelSet.choose(kernels), threads);
  }

  static Stream<Encoding> encodings() {
    ElementType f32 = ElementType.F32;
    ElementType bf16 = ElementType.BF16;
    return Stream.of(
        new Encoding.Plain(f32),
        new Encoding.Plain(bf16),
        new Encoding.Plain(ElementType.F16),
        Encoding.fp8Block(ScaleFormat.FLOAT),
        new Encoding.Block(ElementType.F8_E5M2, 32, 48, bf16, ScaleFormat.FLOAT),
        new Encoding.Block(ElementType.I8, 128, 128, bf16, ScaleFormat.FLOAT),
        new Encoding.Channel(ElementType.F8_E4M3, bf16),
        new Encoding.Channel(ElementType.I8, f32));
  }

  /// Codes of moderate size, without NaN or infinity in any type.
  private static Tile tile(Arena arena, Encoding encoding, long rows, long cols, Random random) {
    Shape shape = Shape.of(rows, cols);
    MemorySegment codes = arena.allocate(shape.bytes(encoding.type()) + 3);
    for (long i = 0; i < rows * cols; i++) {
      float value = (float) random.nextGaussian();
      switch (encoding.type()) {
        case F32 -> codes.set(F32, 3 + 4 * i, value);
        case BF16 -> putShort(codes, i, Float.floatToRawIntBits(value) >>> 16);
        case F16 -> putShort(codes, i, Float.floatToFloat16(value));
        case I8 -> codes.set(ValueLayout.JAVA_BYTE, 3 + i, (byte) (40 * value));
        default -> codes.set(ValueLayout.JAVA_BYTE, 3 + i, (byte) (random.nextInt() & 0xBB));
      }
    }
    ElementType scaleType = encoding.scales().orElse(ElementType.F32);
    long count = encoding.scaleShape(shape).map(Shape::elements).orElse(0L);
    MemorySegment scales = arena.allocate(scaleType.bytes(count) + 3);
    for (long i = 0; i < count; i++) {
      float scale = 0.01f + 0.1f * random.nextFloat();
      if (scaleType == ElementType.BF16) {
        putShort(scales, i, Float.floatToRawIntBits(scale) >>> 16);
      } else {
        scales.set(F32, 3 + 4 * i, scale);
      }
    }
    return new Tile(encoding, codes, 3, scales, 3, rows, cols);
  }

  private static void putShort(MemorySegment memory, long index, int bits) {
    memory.set(ValueLayout.JAVA_SHORT_UNALIGNED, 3 + 2 * index, (short) bits);
  }

  private static float[][] values(Tile tile) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment row = arena.allocate(4 * tile.cols());
      MemorySegment scratch =
          arena.allocate(1 + TileDecoder.scratchBytes(tile.encoding(), tile.cols()));
      TileDecoder decoder = new TileDecoder(KernelSet.choose("scalar"), tile, scratch, 0);
      float[][] values = new float[(int) tile.rows()][(int) tile.cols()];
      for (int r = 0; r < tile.rows(); r++) {
        decoder.read(r, 0, tile.cols(), row, 0);
        MemorySegment.copy(row, F32, 0, values[r], 0, values[r].length);
      }
      return values;
    }
  }

  private static void assertProduct(Matrix x, float[][] w, Guarded out) {
    for (int t = 0; t < x.rows(); t++) {
      for (int r = 0; r < w.length; r++) {
        double sum = 0;
        double magnitudes = 0;
        for (int c = 0; c < w[r].length; c++) {
          double product = (double) x.get(t, c) * w[r][c];
          sum += product;
          magnitudes += Math.abs(product);
        }
        double error = MathKernelsContract.bound(w[r].length) * magnitudes;
        assertThat(out.get(t, r)).as("%s, %s", t, r).isCloseTo(sum, within(error));
      }
    }
    out.assertGuards();
  }

  @ParameterizedTest
  @MethodSource("encodings")
  void multipliesByWeightsInEveryEncoding(Encoding encoding) {
    Random random = new Random(61);
    for (String kernels : List.of("scalar", "vector")) {
      for (int tokens : new int[] {1, 8, 9, 33, 70}) {
        try (Arena arena = Arena.ofShared();
            Compute compute = compute(kernels, 2)) {
          Tile w = tile(arena, encoding, 139, 397, random);
          Guarded x = Guarded.normal(arena, tokens, 397, random);
          Guarded out = Guarded.zeros(arena, tokens, 139);
          compute.multiply(x.matrix(), w, out.matrix());
          assertProduct(x.matrix(), values(w), out);
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1,1,1",
    "3,5,1",
    "16,6,31",
    "17,7,256",
    "600,13,257",
    "600,13,700",
    "33,250,40",
    "2,9,2100"
  })
  void multipliesByAMatrixOfAnySize(int tokens, int rows, int cols) {
    Random random = new Random(62);
    try (Arena arena = Arena.ofShared();
        Compute compute = compute("vector", 2)) {
      Guarded w = Guarded.normal(arena, rows, cols, random);
      Guarded x = Guarded.normal(arena, tokens, cols, random);
      Guarded out = Guarded.zeros(arena, tokens, rows);
      compute.multiply(x.matrix(), w.matrix(), out.matrix());
      float[][] values = new float[rows][cols];
      for (int r = 0; r < rows; r++) {
        for (int c = 0; c < cols; c++) {
          values[r][c] = w.matrix().get(r, c);
        }
      }
      assertProduct(x.matrix(), values, out);
    }
  }

  @Test
  void givesTheSameOnAnyNumberOfThreadsAndForAnyOtherTokens() {
    Random random = new Random(63);
    try (Arena arena = Arena.ofShared()) {
      Tile w = tile(arena, Encoding.fp8Block(ScaleFormat.FLOAT), 300, 500, random);
      Matrix x = Guarded.normal(arena, 600, 500, random).matrix();
      Matrix expected = Matrix.zeros(arena, 600, 300);
      multiply(1, x, w, expected);
      for (int threads = 2; threads < 5; threads++) {
        Matrix out = Matrix.zeros(arena, 600, 300);
        multiply(threads, x, w, out);
        assertThat(out.data().mismatch(expected.data())).isEqualTo(-1);
      }
      Matrix some = Matrix.zeros(arena, 11, 300);
      multiply(1, x.rows(509, 11), w, some);
      long at = expected.at(509, 0);
      assertThat(some.data().mismatch(expected.data().asSlice(at, some.data().byteSize())))
          .isEqualTo(-1);
    }
  }

  private static void multiply(int threads, Matrix x, Tile w, Matrix out) {
    try (Compute compute = compute("vector", threads)) {
      compute.multiply(x, w, out);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1,1,4,4,1,1",
    "5,5,16,8,2,1",
    "1,70,24,17,4,2",
    "150,150,48,32,2,2",
    "33,200,192,128,1,1"
  })
  void attendsToTheKeysBefore(int n, int m, int qkDim, int vDim, int heads, int kvHeads) {
    Random random = new Random(64);
    AttentionShape shape =
        new AttentionShape(heads, kvHeads, qkDim, vDim, (float) (1 / Math.sqrt(qkDim)));
    for (String kernels : List.of("scalar", "vector")) {
      try (Arena arena = Arena.ofShared();
          Compute compute = compute(kernels, 2)) {
        Guarded q = Guarded.normal(arena, n, heads * qkDim, random);
        Guarded k = Guarded.normal(arena, m, kvHeads * qkDim, random);
        Guarded v = Guarded.normal(arena, m, kvHeads * vDim, random);
        Guarded out = Guarded.zeros(arena, n, heads * vDim);
        compute.attention(shape, q.matrix(), k.matrix(), v.matrix(), out.matrix());
        for (int i = 0; i < n; i++) {
          for (int head = 0; head < heads; head++) {
            assertAttention(shape, head, i, m - n + i + 1, q, k, v, out);
          }
        }
        out.assertGuards();
      }
    }
  }

  /// Errors of the scores become relative errors of the weights; so do those of the exponentials,
  /// one for each block of keys. The weighted sum and the sum of the weights have `seen` roundings.
  private static void assertAttention(
      AttentionShape shape, int head, int i, int seen, Guarded q, Guarded k, Guarded v, Guarded o) {
    int kvHead = head / (shape.heads() / shape.kvHeads());
    double[] scores = new double[seen];
    double max = Double.NEGATIVE_INFINITY;
    double scoreError = 0;
    for (int j = 0; j < seen; j++) {
      double magnitudes = 0;
      for (int c = 0; c < shape.qkDim(); c++) {
        double product =
            q.get(i, (long) head * shape.qkDim() + c) * k.get(j, (long) kvHead * shape.qkDim() + c);
        scores[j] += product * shape.scale();
        magnitudes += Math.abs(product) * shape.scale();
      }
      max = Math.max(max, scores[j]);
      scoreError = Math.max(scoreError, MathKernelsContract.bound(shape.qkDim() + 4) * magnitudes);
    }
    double blocks = Math.ceilDiv(seen, Attention.KEYS) + 1;
    double weightError = 2 * scoreError + 8 * blocks * 0x1p-22;
    double relative = 2 * (weightError + MathKernelsContract.bound(seen + blocks + 1));
    for (int d = 0; d < shape.vDim(); d++) {
      double sum = 0;
      double weights = 0;
      double magnitudes = 0;
      for (int j = 0; j < seen; j++) {
        double weight = Math.exp(scores[j] - max);
        double value = v.get(j, (long) kvHead * shape.vDim() + d);
        weights += weight;
        sum += weight * value;
        magnitudes += weight * Math.abs(value);
      }
      assertThat(o.get(i, (long) head * shape.vDim() + d))
          .isCloseTo(sum / weights, within(relative * magnitudes / weights));
    }
  }

  @Test
  void attendsTheSameWhetherQueriesComeAloneOrTogether() {
    Random random = new Random(65);
    AttentionShape shape = new AttentionShape(2, 1, 48, 40, 0.2f);
    try (Arena arena = Arena.ofShared();
        Compute compute = compute("vector", 2)) {
      Matrix q = Guarded.normal(arena, 90, 96, random).matrix();
      Matrix k = Guarded.normal(arena, 90, 48, random).matrix();
      Matrix v = Guarded.normal(arena, 90, 40, random).matrix();
      Matrix together = Matrix.zeros(arena, 90, 80);
      Matrix alone = Matrix.zeros(arena, 90, 80);
      compute.attention(shape, q, k, v, together);
      for (int i = 0; i < 90; i++) {
        compute.attention(
            shape, q.rows(i, 1), k.rows(0, i + 1), v.rows(0, i + 1), alone.rows(i, 1));
      }
      assertThat(alone.data().mismatch(together.data())).isEqualTo(-1);
    }
  }

  @Test
  void doesItsRowOperationsRowByRow() {
    Random random = new Random(66);
    try (Arena arena = Arena.ofShared();
        Compute compute = compute("vector", 2);
        Compute scalar = compute("scalar", 1)) {
      Matrix x = Guarded.normal(arena, 40, 1200, random).matrix();
      Matrix weight = Guarded.normal(arena, 1, 300, random).matrix();
      Matrix cos = Guarded.normal(arena, 40, 16, random).matrix();
      Matrix[] results = {Matrix.zeros(arena, 40, 1200), Matrix.zeros(arena, 40, 1200)};
      for (int i = 0; i < 2; i++) {
        Matrix out = results[i];
        Compute each = i == 0 ? compute : scalar;
        each.add(x, out);
        each.addRow(x.rows(3, 1), out);
        each.rmsNormHeads(out, 4, weight, 1e-5);
        each.rope(out, 4, 300, cos, cos, RopeLayout.INTERLEAVED);
        each.rope(out, 4, 300, cos, cos, RopeLayout.HALVES);
        each.siluMultiply(out, x, out);
        each.softmax(out);
      }
      for (int i = 0; i < 40; i++) {
        double sum = 0;
        for (int c = 0; c < 1200; c++) {
          float expected = results[1].get(i, c);
          assertThat(results[0].get(i, c)).isCloseTo(expected, within(1e-4f * expected));
          sum += expected;
        }
        assertThat(sum).isCloseTo(1, within(1e-4));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 511, 1300})
  void gathersRowsAndAddsThemBackInOrder(int cols) {
    Random random = new Random(67);
    try (Arena arena = Arena.ofShared();
        Compute compute = compute("vector", 2)) {
      Guarded x = Guarded.normal(arena, 6, cols, random);
      int[] rows = {4, 0, 4, 5};
      Guarded some = Guarded.zeros(arena, 4, cols);
      compute.gatherRows(x.matrix(), rows, some.matrix());
      some.assertGuards();
      Guarded into = Guarded.normal(arena, 6, cols, random);
      float[][] expected = new float[6][cols];
      float[] factors = {0.5f, 2, -3, 0.1f};
      for (int r = 0; r < 6; r++) {
        for (int c = 0; c < cols; c++) {
          expected[r][c] = into.matrix().get(r, c);
        }
      }
      for (int i = 0; i < 4; i++) {
        for (int c = 0; c < cols; c++) {
          float value = x.matrix().get(rows[i], c);
          assertThat(some.matrix().get(i, c)).isEqualTo(value);
          expected[rows[i]][c] = Math.fma(factors[i], value, expected[rows[i]][c]);
        }
      }
      compute.scatterAdd(some.matrix(), rows, factors, into.matrix());
      for (int r = 0; r < 6; r++) {
        for (int c = 0; c < cols; c++) {
          assertThat(into.matrix().get(r, c)).isEqualTo(expected[r][c]);
        }
      }
      into.assertGuards();
    }
  }

  @Test
  void keepsAsMuchMemoryAsItSays() {
    try (Compute compute = compute("vector", 3)) {
      assertThat(compute.productBytes(512, 7168))
          .isGreaterThan(4L * 512 * 7168)
          .isLessThan(4L * 512 * 7168 + (3 << 20));
      assertThat(compute.productBytes(1, 7168)).isLessThan(1 << 18);
      MathKernels kernels = MathKernelSet.choose("vector");
      long arrays = 3L * Float.BYTES * 256 * (240 + 4 + kernels.panelWidth());
      assertThat(compute.arrayBytes()).isEqualTo(kernels.prefersGroups() ? arrays : 0);
      assertThat(compute.attentionBytes(new AttentionShape(128, 128, 192, 128, 1)))
          .isLessThan(1 << 20);
    }
  }

  @Test
  void refusesSizesThatDoNotFitAndTypesItCannotRead() {
    try (Arena arena = Arena.ofShared();
        Compute compute = compute("vector", 1)) {
      Matrix x = Matrix.zeros(arena, 2, 3);
      assertThatThrownBy(() -> compute.multiply(x, Matrix.zeros(arena, 4, 5), x))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("2 x 3");
      Tile i64 = Tile.plain(ElementType.I64, arena.allocate(24), 0, 1, 3);
      assertThatThrownBy(() -> compute.multiply(x, i64, Matrix.zeros(arena, 2, 1)))
          .isInstanceOf(UnsupportedException.class);
      assertThatThrownBy(() -> compute.scatterAdd(x, new int[] {0, 2}, new float[2], x))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @Test
  void failsWhenAWorkerFails() {
    try (Workers workers = new Workers(3)) {
      assertThatThrownBy(() ->
              workers.run(
                  1000,
                  (task, _) -> {
                    if (task == 500) {
                      throw new IllegalStateException("task 500");
                    }
                  }))
          .isInstanceOf(IllegalStateException.class)
          .hasStackTraceContaining("task 500");
    }
  }
}
