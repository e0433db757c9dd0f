package smelt.calibrate.cuda;

import java.lang.foreign.MemorySegment;
import jcuda.Pointer;

/// Native memory of this process, as JCuda wants it named.
final class HostPointer extends Pointer {

  /// @throws IllegalArgumentException for memory on the heap: it may move while a transfer runs
  HostPointer(MemorySegment memory) {
    super(address(memory));
  }

  private static long address(MemorySegment memory) {
    if (!memory.isNative()) {
      throw new IllegalArgumentException("memory on the heap, which a device cannot read");
    }
    return memory.address();
  }
}
