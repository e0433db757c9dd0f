package smelt.calibrate.model;

import java.lang.foreign.MemorySegment;
import smelt.calibrate.math.Matrix;

/// Memory for what lives no longer than a step. It is taken from the front; `release` gives back
/// all that was taken since `mark`. What is taken holds whatever was there before.
final class Scratch {

  /// What is taken begins at a multiple of this.
  static final long ALIGNMENT = 64;

  private final MemorySegment memory;
  private long taken;

  Scratch(MemorySegment memory) {
    this.memory = memory;
  }

  /// Bytes that a matrix takes.
  static long bytesOf(long rows, long cols) {
    return aligned(Matrix.bytes(rows, cols));
  }

  static long aligned(long bytes) {
    return Math.multiplyExact(Math.ceilDiv(bytes, ALIGNMENT), ALIGNMENT);
  }

  long free() {
    return memory.byteSize() - taken;
  }

  MemorySegment bytes(long count) {
    long size = aligned(count);
    if (size > free()) {
      throw new IllegalStateException(size + " bytes of scratch asked for, " + free() + " left");
    }
    MemorySegment slice = memory.asSlice(taken, count);
    taken += size;
    return slice;
  }

  Matrix matrix(long rows, long cols) {
    return new Matrix(bytes(Matrix.bytes(rows, cols)), 0, rows, cols, cols);
  }

  long mark() {
    return taken;
  }

  void release(long mark) {
    taken = mark;
  }
}
