package smelt.calibrate.cuda;

import java.lang.foreign.MemorySegment;
import jcuda.driver.JCudaDriver;
import smelt.formats.codec.DeviceTranscoder;

/// Memory of the host that the device reads and writes by itself, until this is closed.
final class PinnedMemory implements DeviceTranscoder.Pinned {

  /// `CU_MEMHOSTREGISTER_PORTABLE`: pinned for every context.
  private static final int PORTABLE = 1;

  private final CudaDevice device;
  private final HostPointer start;

  /// @param memory native, not empty; must live longer than this
  PinnedMemory(CudaDevice device, MemorySegment memory) {
    this.device = device;
    this.start = new HostPointer(memory);
    device.bind();
    DeviceException.check(
        "pinning " + memory.byteSize() + " bytes",
        JCudaDriver.cuMemHostRegister(start, memory.byteSize(), PORTABLE));
  }

  @Override
  public void close() {
    device.bind();
    DeviceException.check("unpinning memory", JCudaDriver.cuMemHostUnregister(start));
  }
}
