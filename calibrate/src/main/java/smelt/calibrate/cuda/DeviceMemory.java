package smelt.calibrate.cuda;

import java.util.Objects;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.JCudaDriver;

/// Memory of the device. Whoever allocates it closes it.
public final class DeviceMemory implements AutoCloseable {

  private final CudaDevice device;
  private final DevicePointer start = new DevicePointer();
  private final long bytes;
  private boolean open;

  DeviceMemory(CudaDevice device, long bytes) {
    this.device = device;
    this.bytes = bytes;
    device.bind();
    DeviceException.check(
        "taking " + bytes + " bytes of the device's memory", JCudaDriver.cuMemAlloc(start, bytes));
    this.open = true;
  }

  public long bytes() {
    return bytes;
  }

  /// Some of it, as the driver wants it named.
  CUdeviceptr pointer(long offset, long count) {
    Objects.checkFromIndexSize(offset, count, bytes);
    requireOpen();
    return start.withByteOffset(offset);
  }

  /// The address of some of it, as kernels want it named.
  long address(long offset, long count) {
    Objects.checkFromIndexSize(offset, count, bytes);
    requireOpen();
    return start.address() + offset;
  }

  private void requireOpen() {
    if (!open) {
      throw new IllegalStateException("device memory is used after it was closed");
    }
  }

  @Override
  public void close() {
    if (open) {
      open = false;
      device.bind();
      DeviceException.check("giving device memory back", JCudaDriver.cuMemFree(start));
    }
  }
}
