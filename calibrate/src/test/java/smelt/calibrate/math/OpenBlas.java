package smelt.calibrate.math;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/// `cblas_sgemm` of an installed OpenBLAS, for comparison only.
@SuppressWarnings("restricted") // a library that is installed or not
final class OpenBlas {

  private static final String LIBRARY = "libopenblas.so.0";
  private static final int ROW_MAJOR = 101;
  private static final int AS_IT_IS = 111;
  private static final int TRANSPOSED = 112;

  private final MethodHandle sgemm;

  private OpenBlas(MethodHandle sgemm) {
    this.sgemm = sgemm;
  }

  static boolean isInstalled() {
    try (Arena arena = Arena.ofConfined()) {
      SymbolLookup.libraryLookup(LIBRARY, arena);
      return true;
    } catch (IllegalArgumentException _) {
      return false;
    }
  }

  /// @param arena keeps the library loaded
  static Optional<OpenBlas> open(Arena arena, int threads) {
    if (!isInstalled()) {
      return Optional.empty();
    }
    SymbolLookup library = SymbolLookup.libraryLookup(LIBRARY, arena);
    Linker linker = Linker.nativeLinker();
    ValueLayout i = ValueLayout.JAVA_INT;
    ValueLayout f = ValueLayout.JAVA_FLOAT;
    ValueLayout p = ValueLayout.ADDRESS;
    MethodHandle setThreads =
        linker.downcallHandle(
            library.find("openblas_set_num_threads").orElseThrow(), FunctionDescriptor.ofVoid(i));
    MethodHandle sgemm =
        linker.downcallHandle(
            library.find("cblas_sgemm").orElseThrow(),
            FunctionDescriptor.ofVoid(i, i, i, i, i, i, f, p, i, p, i, f, p, i));
    try {
      setThreads.invokeExact(threads);
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
    return Optional.of(new OpenBlas(sgemm));
  }

  /// `out = x * wT`.
  void multiply(Matrix x, Matrix w, Matrix out) {
    try {
      sgemm.invokeExact(
          ROW_MAJOR,
          AS_IT_IS,
          TRANSPOSED,
          (int) x.rows(),
          (int) w.rows(),
          (int) x.cols(),
          1f,
          at(x),
          (int) x.stride(),
          at(w),
          (int) w.stride(),
          0f,
          at(out),
          (int) out.stride());
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private static MemorySegment at(Matrix matrix) {
    return matrix.data().asSlice(matrix.offset());
  }
}
