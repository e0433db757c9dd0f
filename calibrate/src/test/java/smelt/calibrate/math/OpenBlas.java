package smelt.calibrate.math;

import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/// The matrix product of the OpenBLAS that is installed, to compare with.
@SuppressWarnings("restricted") // a library that is installed or not
final class OpenBlas {

  private static final String LIBRARY = "libopenblas.so.0";
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;

  private static final int ROW_MAJOR = 101;
  private static final int AS_IT_IS = 111;
  private static final int TRANSPOSED = 112;

  private final MethodHandle sgemm;
  private final MethodHandle setThreads;

  private OpenBlas(SymbolLookup library) {
    Linker linker = Linker.nativeLinker();
    AddressLayout address = ValueLayout.ADDRESS;
    FunctionDescriptor product =
        FunctionDescriptor.ofVoid(
            INT, INT, INT, INT, INT, INT, FLOAT, address, INT, address, INT, FLOAT, address, INT);
    sgemm = linker.downcallHandle(library.findOrThrow("cblas_sgemm"), product);
    setThreads =
        linker.downcallHandle(
            library.findOrThrow("openblas_set_num_threads"), FunctionDescriptor.ofVoid(INT));
  }

  /// Empty where there is none.
  static Optional<OpenBlas> find(Arena arena) {
    try {
      return Optional.of(new OpenBlas(SymbolLookup.libraryLookup(LIBRARY, arena)));
    } catch (IllegalArgumentException _) {
      return Optional.empty();
    }
  }

  void useThreads(int threads) {
    try {
      setThreads.invokeExact(threads);
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  /// `out = x * wT`, all without gaps between rows.
  void multiply(Matrix x, Matrix w, Matrix out) {
    int m = (int) x.rows();
    int n = (int) w.rows();
    int k = (int) x.cols();
    MemorySegment a = x.data();
    MemorySegment b = w.data();
    MemorySegment c = out.data();
    try {
      sgemm.invokeExact(ROW_MAJOR, AS_IT_IS, TRANSPOSED, m, n, k, 1f, a, k, b, k, 0f, c, n);
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }
}
