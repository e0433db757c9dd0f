package smelt.calibrate.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.Optional;
import jcuda.driver.JCudaDriver;

/// NVIDIA's matrix products, where they are installed, to compare with.
@SuppressWarnings("restricted") // native access is what this class is for
final class Cublas {

  private static final List<String> NAMES =
      List.of("libcublas.so.13", "libcublas.so.12", "libcublas.so");

  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

  private static final int TRANSPOSED = 1;
  private static final int AS_IT_IS = 0;
  private static final int R_16BF = 14;
  private static final int R_32F = 0;
  private static final int COMPUTE_32F = 68;
  private static final int DEFAULT_ALGORITHM = -1;
  private static final int REPEATS = 20;

  private final MethodHandle create;
  private final MethodHandle gemm;

  private Cublas(SymbolLookup library) {
    Linker linker = Linker.nativeLinker();
    this.create =
        linker.downcallHandle(
            library.findOrThrow("cublasCreate_v2"),
            FunctionDescriptor.of(INT, ValueLayout.ADDRESS));
    this.gemm =
        linker.downcallHandle(
            library.findOrThrow("cublasGemmEx"),
            FunctionDescriptor.of(
                INT,
                LONG,
                INT,
                INT,
                INT,
                INT,
                INT,
                ValueLayout.ADDRESS,
                LONG,
                INT,
                INT,
                LONG,
                INT,
                INT,
                ValueLayout.ADDRESS,
                LONG,
                INT,
                INT,
                INT,
                INT));
  }

  static Optional<Cublas> find() {
    for (String name : NAMES) {
      try {
        return Optional.of(new Cublas(SymbolLookup.libraryLookup(name, Arena.global())));
      } catch (IllegalArgumentException _) {
        // The next name may be there.
      }
    }
    return Optional.empty();
  }

  /// TFLOP/s of `x * wT` in BF16 with F32 results.
  ///
  /// @param size tokens, rows, columns
  double rate(CudaDevice device, long[] size, int rounds) {
    try (Arena arena = Arena.ofConfined();
        DeviceMemory x = device.allocate(2 * size[0] * size[2]);
        DeviceMemory w = device.allocate(2 * size[1] * size[2]);
        DeviceMemory out = device.allocate(4 * size[0] * size[1])) {
      device.bind();
      MemorySegment handle = arena.allocate(LONG);
      check((int) create.invokeExact(handle));
      MemorySegment one = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1);
      MemorySegment zero = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 0);
      double best = Double.POSITIVE_INFINITY;
      for (int i = 0; i <= rounds; i++) {
        long before = System.nanoTime();
        for (int j = 0; j < REPEATS; j++) {
          check(
              (int)
                  gemm.invokeExact(
                      handle.get(LONG, 0),
                      TRANSPOSED,
                      AS_IT_IS,
                      (int) size[1],
                      (int) size[0],
                      (int) size[2],
                      one,
                      w.address(0, w.bytes()),
                      R_16BF,
                      (int) size[2],
                      x.address(0, x.bytes()),
                      R_16BF,
                      (int) size[2],
                      zero,
                      out.address(0, out.bytes()),
                      R_32F,
                      (int) size[1],
                      COMPUTE_32F,
                      DEFAULT_ALGORITHM));
        }
        DeviceException.check("waiting for cuBLAS", JCudaDriver.cuCtxSynchronize());
        double seconds = (System.nanoTime() - before) / 1e9;
        best = i == 0 ? best : Math.min(best, seconds);
      }
      return 2.0 * size[0] * size[1] * size[2] * REPEATS / best / 1e12;
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private static void check(int status) {
    if (status != 0) {
      throw new IllegalStateException("cuBLAS answers " + status);
    }
  }
}
