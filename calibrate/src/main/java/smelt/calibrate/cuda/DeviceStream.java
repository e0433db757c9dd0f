package smelt.calibrate.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/// Work for the device in order: transfers and kernels. Nothing is done when a method returns; only
/// `finish` waits. Memory of the host that takes part must not be touched before that.
public final class DeviceStream implements AutoCloseable {

  private final CudaDevice device;
  private final CUstream stream = new CUstream();

  DeviceStream(CudaDevice device) {
    this.device = device;
    device.bind();
    DeviceException.check(
        "opening a stream",
        JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING));
  }

  CUstream handle() {
    return stream;
  }

  /// Copies native memory to the device.
  void upload(MemorySegment from, DeviceMemory to, long offset) {
    if (from.byteSize() > 0) {
      device.bind();
      DeviceException.check(
          "copying to the device",
          JCudaDriver.cuMemcpyHtoDAsync(
              to.pointer(offset, from.byteSize()), new HostPointer(from), from.byteSize(), stream));
    }
  }

  /// Copies from the device to native memory.
  void download(DeviceMemory from, long offset, MemorySegment to) {
    if (to.byteSize() > 0) {
      device.bind();
      DeviceException.check(
          "copying from the device",
          JCudaDriver.cuMemcpyDtoHAsync(
              new HostPointer(to), from.pointer(offset, to.byteSize()), to.byteSize(), stream));
    }
  }

  /// Copies within the device.
  void copy(DeviceMemory from, DeviceMemory to, long bytes) {
    device.bind();
    DeviceException.check(
        "copying within the device",
        JCudaDriver.cuMemcpyDtoDAsync(to.pointer(0, bytes), from.pointer(0, bytes), bytes, stream));
  }

  /// Sets bytes of the device's memory.
  void fill(DeviceMemory memory, long offset, long bytes, byte value) {
    device.bind();
    DeviceException.check(
        "setting device memory",
        JCudaDriver.cuMemsetD8Async(memory.pointer(offset, bytes), value, bytes, stream));
  }

  /// Starts a kernel.
  ///
  /// @param blocks blocks of the grid
  /// @param threads threads of a block
  /// @param arguments the kernel's parameters: integers and addresses as they are, floats as their
  ///   bits; those that are narrower than 64 bits take the low ones
  void launch(DeviceKernel kernel, Grid blocks, int threads, long... arguments) {
    device.bind();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment values = arena.allocateFrom(ValueLayout.JAVA_LONG, arguments);
      MemorySegment addresses = arena.allocate(ValueLayout.ADDRESS, arguments.length);
      for (int i = 0; i < arguments.length; i++) {
        addresses.setAtIndex(ValueLayout.ADDRESS, i, values.asSlice((long) Long.BYTES * i));
      }
      DeviceException.check(
          "starting the kernel " + kernel.name(),
          JCudaDriver.cuLaunchKernel(
              kernel.function(),
              blocks.x(),
              blocks.y(),
              1,
              threads,
              1,
              1,
              0,
              stream,
              new HostPointer(addresses),
              null));
    }
  }

  /// Blocks of a grid.
  record Grid(int x, int y) {

    /// The largest grid of `wanted` blocks that a kernel goes through in turn.
    static Grid of(long wanted, int most) {
      return new Grid(Math.clamp(wanted, 1, most), 1);
    }
  }

  /// Waits until all is done.
  ///
  /// @throws DeviceException if some of it failed
  void finish() {
    device.bind();
    DeviceException.check("running kernels", JCudaDriver.cuStreamSynchronize(stream));
  }

  @Override
  public void close() {
    device.bind();
    DeviceException.check("closing a stream", JCudaDriver.cuStreamDestroy(stream));
  }
}
