package smelt.calibrate.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.ResourceLock;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.RoutingRule;
import smelt.formats.ElementType;
import smelt.formats.UnsupportedException;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Tile;

/// The math kernels, run by the processor from the sources that are compiled for the device: the
/// tensor cores' layouts are played as the instruction set describes them.
@ResourceLock(FakeDriver.LOCK)
class CudaMathTest {

  private final Arena arena = Arena.ofAuto();
  private CudaDevice device;
  private CudaMath math;

  @BeforeEach
  void open() throws IOException, InterruptedException {
    device = FakeDriver.device();
    math = new CudaMath(device);
  }

  @AfterEach
  void close() throws IOException, InterruptedException {
    if (device != null) {
      math.close();
      device.close();
      FakeDriver driver = FakeDriver.fresh();
      assertThat(driver.count("blocks")).isZero();
      assertThat(driver.count("overruns")).isZero();
    }
  }

  @ParameterizedTest
  @MethodSource("smelt.calibrate.cuda.DeviceTiles#weights")
  void productsStayWithinTheirBounds(Encoding encoding) {
    Random random = new Random(17);
    for (long[] size : new long[][] {{130, 140, 272}, {3, 129, 48}, {1, 1, 16}, {5, 7, 23}}) {
      Matrix x = MathBounds.random(arena, size[0], size[2], 1, random);
      Tile w = DeviceTiles.random(arena, encoding, size[1], size[2], random);
      try (DeviceMatrix sent = math.send(x);
          DeviceWeight weight = math.send(w);
          DeviceMatrix out = math.matrix(size[0], size[1])) {
        Matrix found = Matrix.zeros(arena, size[0], size[1]);
        math.multiplyPlain(sent, weight, out);
        math.read(out, found);
        assertThat(MathBounds.product(arena, x, w, found, false)).isLessThanOrEqualTo(1);
        math.multiply(sent, weight, out);
        math.read(out, found);
        boolean tensors = CudaMath.fitsTensors(weight);
        assertThat(MathBounds.product(arena, x, w, found, tensors)).isLessThanOrEqualTo(1);
      }
    }
  }

  @Test
  void tensorCoresTakeWhatFitsThem() {
    for (Encoding encoding : DeviceTiles.weights()) {
      for (long cols : new long[] {16, 23, 160}) {
        try (DeviceWeight weight = math.send(DeviceTiles.empty(arena, encoding, 4, cols))) {
          boolean f32 = encoding.type() == ElementType.F32;
          assertThat(CudaMath.fitsTensors(weight)).isEqualTo(!f32 && cols % 16 == 0);
        }
        math.finish();
      }
    }
  }

  /// Every code once, against a token of ones: a wrong one would show.
  @Test
  void tensorCoresDecodeEveryCode() {
    for (ElementType type : List.of(ElementType.F8_E4M3, ElementType.I8)) {
      Tile w = DeviceTiles.empty(arena, new Encoding.Channel(type, ElementType.F32), 256, 16);
      for (int code = 0; code < 256; code++) {
        boolean nan = type == ElementType.F8_E4M3 && (code & 0x7F) == 0x7F;
        long at = w.codesOffset() + 16L * code + code % 16;
        w.codes().set(ValueLayout.JAVA_BYTE, at, nan ? 0 : (byte) code);
        DeviceTiles.setScale(w, ElementType.F32, code, 1);
      }
      Matrix x = Matrix.zeros(arena, 1, 16);
      for (int i = 0; i < 16; i++) {
        x.set(0, i, 1);
      }
      Matrix tensors = Matrix.zeros(arena, 1, 256);
      Matrix plain = Matrix.zeros(arena, 1, 256);
      try (DeviceMatrix sent = math.send(x);
          DeviceWeight weight = math.send(w);
          DeviceMatrix out = math.matrix(1, 256)) {
        math.multiply(sent, weight, out);
        math.read(out, tensors);
        math.multiplyPlain(sent, weight, out);
        math.read(out, plain);
      }
      for (int code = 0; code < 256; code++) {
        assertThat(tensors.get(0, code)).as("code %d", code).isEqualTo(plain.get(0, code));
      }
    }
  }

  @Test
  void boundsAreBrokenByOneWrongNumber() {
    Random random = new Random(4);
    Encoding bf16 = new Encoding.Plain(ElementType.BF16);
    Matrix x = MathBounds.random(arena, 2, 64, 1, random);
    Tile w = DeviceTiles.random(arena, bf16, 2, 64, random);
    try (DeviceMatrix sent = math.send(x);
        DeviceWeight weight = math.send(w);
        DeviceMatrix out = math.matrix(2, 2)) {
      Matrix found = Matrix.zeros(arena, 2, 2);
      math.multiply(sent, weight, out);
      math.read(out, found);
      x.set(1, 9, x.get(1, 9) + 9);
      assertThat(MathBounds.product(arena, x, w, found, true)).isGreaterThan(1);
    }
  }

  @Test
  void normsSoftmaxAndSiluStayWithinTheirBounds() {
    Random random = new Random(6);
    for (long[] size : new long[][] {{70, 7}, {3, 700}, {1, 1}}) {
      Matrix x = MathBounds.random(arena, size[0], size[1], 20, random);
      Matrix y = MathBounds.random(arena, size[0], size[1], 1, random);
      Matrix gain = MathBounds.random(arena, 1, size[1], 1, random);
      Matrix found = Matrix.zeros(arena, size[0], size[1]);
      try (DeviceMatrix dx = math.send(x);
          DeviceMatrix dy = math.send(y);
          DeviceMatrix weight = math.send(gain);
          DeviceMatrix out = math.matrix(size[0], size[1])) {
        math.rmsNorm(dx, weight, 1e-6, out);
        math.read(out, found);
        assertThat(MathBounds.rmsNorm(x, gain, 1e-6, found)).isLessThanOrEqualTo(1);
        math.siluMultiply(dx, dy, out);
        math.read(out, found);
        assertThat(MathBounds.siluMultiply(x, y, found)).isLessThanOrEqualTo(1);
        math.softmax(dx);
        math.read(dx, found);
        assertThat(MathBounds.softmax(x, found)).isLessThanOrEqualTo(1);
      }
    }
  }

  static List<RoutingRule> rules() {
    return List.of(
        new RoutingRule.BiasedSigmoid(256, 8, 8, 4, true, 2.5),
        new RoutingRule.BiasedSigmoid(16, 4, 4, 2, false, 1),
        new RoutingRule.BiasedSigmoid(6, 2, 6, 3, true, 1),
        new RoutingRule.Softmax(160, 6, 8, 3, false, 16),
        new RoutingRule.Softmax(128, 8, 1, 1, true, 1),
        new RoutingRule.Softmax(1024, 1, 1, 1, false, 1));
  }

  @ParameterizedTest
  @MethodSource("rules")
  void choosesTheExpertsOfTheDefinition(RoutingRule rule) {
    Random random = new Random(31);
    int rows = 40;
    Matrix logits = MathBounds.random(arena, rows, rule.experts(), 2, random);
    Matrix bias = MathBounds.random(arena, 1, rule.experts(), 0.3, random);
    Matrix weights = Matrix.zeros(arena, rows, rule.chosen());
    MemorySegment experts = arena.allocate(4L * rows * rule.chosen(), 4);
    try (DeviceMatrix sent = math.send(logits);
        DeviceMatrix added = math.send(bias);
        DeviceMemory chosen = math.zeros(4L * rows * rule.chosen());
        DeviceMatrix out = math.matrix(rows, rule.chosen())) {
      math.route(sent, Optional.of(added), rule, chosen, out);
      math.read(chosen, experts);
      math.read(out, weights);
    }
    int[] found = experts.toArray(ValueLayout.JAVA_INT);
    assertThat(MathBounds.routing(logits, bias, rule, found, weights)).isLessThanOrEqualTo(1);
    weights.set(3, 0, weights.get(3, 0) * 1.0001f);
    assertThat(MathBounds.routing(logits, bias, rule, found, weights)).isGreaterThan(1);
    weights.set(3, 0, weights.get(3, 0) / 1.0001f);
    found[5 * rule.chosen()] ^= 1;
    assertThat(MathBounds.routing(logits, bias, rule, found, weights)).isInfinite();
  }

  /// Of equals the lower number comes first, and a bias decides who is chosen, not the weight.
  @Test
  void choosesTheLowerNumberAmongEquals() {
    RoutingRule rule = new RoutingRule.BiasedSigmoid(8, 3, 1, 1, true, 1);
    Matrix logits = Matrix.zeros(arena, 1, 8);
    Matrix bias = Matrix.zeros(arena, 1, 8);
    bias.set(0, 5, 1);
    Matrix weights = Matrix.zeros(arena, 1, 3);
    MemorySegment experts = arena.allocate(12, 4);
    try (DeviceMatrix sent = math.send(logits);
        DeviceMatrix added = math.send(bias);
        DeviceMemory chosen = math.zeros(12);
        DeviceMatrix out = math.matrix(1, 3)) {
      math.route(sent, Optional.of(added), rule, chosen, out);
      math.read(chosen, experts);
      math.read(out, weights);
    }
    assertThat(experts.toArray(ValueLayout.JAVA_INT)).containsExactly(5, 0, 1);
    assertThat(weights.get(0, 0)).isEqualTo(weights.get(0, 2)).isEqualTo(1 / 3f);
  }

  @Test
  void observersAddUpRowAfterRow() {
    Matrix x = MathBounds.random(arena, 41, 300, 3, new Random(8));
    float[] absmax = new float[300];
    double[] squares = new double[300];
    for (int c = 0; c < 300; c++) {
      for (long r = 0; r < 41; r++) {
        absmax[c] = Math.max(absmax[c], Math.abs(x.get(r, c)));
        squares[c] += (double) x.get(r, c) * x.get(r, c);
      }
    }
    MemorySegment foundMax = arena.allocate(4 * 300, 8);
    MemorySegment foundSquares = arena.allocate(8 * 300, 8);
    try (DeviceMatrix first = math.send(x.rows(0, 17));
        DeviceMatrix second = math.send(x.rows(17, 24));
        DeviceMemory max = math.zeros(4 * 300);
        DeviceMemory sums = math.zeros(8 * 300)) {
      math.observe(first, max, sums);
      math.observe(second, max, sums);
      math.read(max, foundMax);
      math.read(sums, foundSquares);
    }
    assertThat(foundMax.toArray(ValueLayout.JAVA_FLOAT)).isEqualTo(absmax);
    assertThat(foundSquares.toArray(ValueLayout.JAVA_DOUBLE)).isEqualTo(squares);
  }

  @Test
  void hessiansAreAddedUpAndSymmetric() {
    int cols = 70;
    Matrix first = MathBounds.random(arena, 300, cols, 1, new Random(8));
    Matrix second = MathBounds.random(arena, 5, cols, 1, new Random(9));
    MemorySegment found = arena.allocate(8L * cols * cols, 8);
    try (DeviceMatrix a = math.send(first);
        DeviceMatrix b = math.send(second);
        DeviceMemory hessian = math.zeros(8L * cols * cols)) {
      math.addHessian(a, hessian);
      math.read(hessian, found);
      double[] once = found.toArray(ValueLayout.JAVA_DOUBLE);
      assertThat(MathBounds.hessian(first, new double[cols * cols], once, CudaMath.HESSIAN_RUN))
          .isLessThanOrEqualTo(1);
      math.addHessian(b, hessian);
      math.read(hessian, found);
      double[] twice = found.toArray(ValueLayout.JAVA_DOUBLE);
      assertThat(MathBounds.hessian(second, once, twice, CudaMath.HESSIAN_RUN))
          .isLessThanOrEqualTo(1);
      for (int i = 0; i < cols; i++) {
        for (int j = 0; j < cols; j++) {
          assertThat(twice[i * cols + j]).isEqualTo(twice[j * cols + i]);
        }
      }
    }
  }

  @Test
  void refusesAWeightThatItCannotMultiplyWith() {
    Encoding f16 = new Encoding.Channel(ElementType.I8, ElementType.F16);
    Tile w = DeviceTiles.empty(arena, f16, 4, 16);
    assertThatThrownBy(() -> math.send(w))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("on a GPU");
  }
}
