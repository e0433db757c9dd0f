package smelt.calibrate.math;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;
import smelt.formats.codec.KernelSet;

/// Guards against a silent fall in speed: when the JIT stops inlining, boxes vectors or gives up a
/// method, results stay right and a kernel becomes a hundred times slower. Each operation must be
/// some times faster than the scalar kernels, of whose speed even a busy machine takes the same
/// share; of many rounds the best counts.
@Isolated
class MathSpeedTest {

  private static final int ROUNDS = 12;

  /// Within this the JIT has compiled everything, even on a busy machine.
  private static final long PATIENCE_NANOS = 60_000_000_000L;

  /// Least ratio, and what to run.
  private record Operation(double ratio, Runnable vector, Runnable scalar) {}

  @Test
  void vectorKernelsAreSomeTimesFasterThanScalarOnes() {
    try (Arena arena = Arena.ofShared();
        Compute vector = compute("vector");
        Compute scalar = compute("scalar")) {
      Map<String, Operation> operations = new LinkedHashMap<>();
      Matrix x = Guarded.normal(arena, 64, 256, new Random(71)).matrix();
      Matrix w = Guarded.normal(arena, 60, 256, new Random(72)).matrix();
      Matrix out = Matrix.zeros(arena, 64, 60);
      Matrix same = Matrix.zeros(arena, 64, 256);
      Matrix angles = Matrix.zeros(arena, 64, 64);
      AttentionShape shape = new AttentionShape(2, 2, 128, 128, 0.1f);
      put(operations, "product", 8, vector, scalar, c -> c.multiply(x, w, out));
      put(
          operations,
          "few",
          3,
          vector,
          scalar,
          c -> {
            for (int t = 0; t < 64; t++) {
              c.multiply(x.rows(t, 1), w, out.rows(t, 1));
            }
          });
      put(operations, "attention", 5, vector, scalar, c -> c.attention(shape, x, x, x, same));
      put(operations, "norm", 2, vector, scalar, c -> c.rmsNorm(x, w.rows(0, 1), 1e-6, same));
      put(operations, "silu", 4, vector, scalar, c -> c.siluMultiply(x, x, same));
      put(operations, "softmax", 4, vector, scalar, c -> c.softmax(same));
      put(operations, "add", 1.5, vector, scalar, c -> c.add(x, same));
      for (RopeLayout layout : RopeLayout.values()) {
        String name = "rope " + layout;
        put(operations, name, 1.5, vector, scalar, c -> c.rope(x, 2, 128, angles, angles, layout));
      }
      Map<String, long[]> best = new LinkedHashMap<>();
      long start = System.nanoTime();
      while (!fast(operations, best) && System.nanoTime() - start < PATIENCE_NANOS) {
        operations.forEach((name, operation) -> measure(name, operation, best));
      }
      operations.forEach((name, operation) ->
          assertThat(ratio(best.get(name))).as(name).isGreaterThan(operation.ratio));
    }
  }

  /// An operation of a set of kernels.
  @FunctionalInterface
  private interface Work {
    void run(Compute compute);
  }

  private static void put(
      Map<String, Operation> operations,
      String name,
      double ratio,
      Compute vector,
      Compute scalar,
      Work work) {
    operations.put(name, new Operation(ratio, () -> work.run(vector), () -> work.run(scalar)));
  }

  private static Compute compute(String kernels) {
    return new Compute(MathKernelSet.choose(kernels), KernelSet.choose(kernels), 1);
  }

  private static void measure(String name, Operation operation, Map<String, long[]> best) {
    long[] nanos = best.computeIfAbsent(name, _ -> new long[] {Long.MAX_VALUE, Long.MAX_VALUE});
    for (int round = 0; round < ROUNDS; round++) {
      long start = System.nanoTime();
      operation.scalar.run();
      long middle = System.nanoTime();
      operation.vector.run();
      nanos[0] = Math.min(nanos[0], middle - start);
      nanos[1] = Math.min(nanos[1], System.nanoTime() - middle);
    }
  }

  private static double ratio(long[] nanos) {
    return nanos[0] / (double) nanos[1];
  }

  private static boolean fast(Map<String, Operation> operations, Map<String, long[]> best) {
    return operations.entrySet().stream()
        .allMatch(
            e -> best.containsKey(e.getKey()) && ratio(best.get(e.getKey())) > e.getValue().ratio);
  }
}
