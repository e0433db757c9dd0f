package smelt.formats.ggml;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import smelt.formats.Checkout;
import smelt.formats.gguf.GgmlType;

/// ggml's own quantizer, from the package that the tests of the converter install: the part of
/// llama.cpp that is built for plain x86-64, whatever the processor.
public final class GgmlLibrary {

  private final MethodHandle quantizeChunk;
  private final Path library;

  @SuppressWarnings("restricted")
  public GgmlLibrary(Path library) {
    this.library = library;
    quantizeChunk =
        Linker.nativeLinker()
            .downcallHandle(
                SymbolLookup.libraryLookup(library, Arena.ofAuto())
                    .findOrThrow("ggml_quantize_chunk"),
                FunctionDescriptor.of(
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_INT,
                    ValueLayout.ADDRESS,
                    ValueLayout.ADDRESS,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.ADDRESS));
  }

  /// Where the package lies once it is installed.
  public static Optional<Path> installed() {
    Path library =
        Checkout.root()
            .resolve("converter/target/llama/node_modules/@node-llama-cpp/linux-x64")
            .resolve("bins/linux-x64/libggml-base.so");
    return Files.exists(library) ? Optional.of(library) : Optional.empty();
  }

  /// @param importance `MemorySegment.NULL` for none
  public void quantize(
      GgmlType type,
      MemorySegment in,
      long rows,
      long cols,
      MemorySegment importance,
      MemorySegment out) {
    try {
      long bytes = (long) quantizeChunk.invokeExact(type.id(), in, out, 0L, rows, cols, importance);
      if (bytes != type.bytes(rows * cols)) {
        throw new AssertionError(bytes + " bytes");
      }
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /// What ggml makes of blocks.
  @SuppressWarnings("restricted")
  public void dequantize(GgmlType type, MemorySegment blocks, MemorySegment out, long count) {
    String name = type.name().toLowerCase(Locale.ROOT).replaceFirst("_k$", "_K");
    MethodHandle handle =
        Linker.nativeLinker()
            .downcallHandle(
                SymbolLookup.libraryLookup(library, Arena.ofAuto())
                    .findOrThrow("dequantize_row_" + name),
                FunctionDescriptor.ofVoid(
                    ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG));
    try {
      handle.invokeExact(blocks, out, count);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
