package smelt.calibrate.cuda;

import java.util.Objects;

/// A matrix of F32 numbers in the device's memory, one row after the other. Whoever makes it closes
/// it.
public final class DeviceMatrix implements AutoCloseable {

  private final DeviceMemory memory;
  private final boolean owner;
  private final long rows;
  private final long cols;

  DeviceMatrix(CudaDevice device, long rows, long cols) {
    this(device.allocate(bytes(rows, cols)), true, rows, cols);
  }

  private DeviceMatrix(DeviceMemory memory, boolean owner, long rows, long cols) {
    this.memory = memory;
    this.owner = owner;
    this.rows = rows;
    this.cols = cols;
  }

  /// A matrix at the beginning of some memory, which stays its owner's.
  static DeviceMatrix on(DeviceMemory memory, long rows, long cols) {
    Objects.checkFromIndexSize(0, bytes(rows, cols), memory.bytes());
    return new DeviceMatrix(memory, false, rows, cols);
  }

  private static long bytes(long rows, long cols) {
    if (rows < 1 || cols < 1 || rows > Integer.MAX_VALUE || cols > Integer.MAX_VALUE) {
      throw new IllegalArgumentException("a matrix of " + rows + " x " + cols);
    }
    return Math.multiplyExact(Math.multiplyExact(rows, cols), Float.BYTES);
  }

  public long rows() {
    return rows;
  }

  public long cols() {
    return cols;
  }

  DeviceMemory memory() {
    return memory;
  }

  long address() {
    return memory.address(0, bytes(rows, cols));
  }

  void requireSize(long wantedRows, long wantedCols) {
    if (rows != wantedRows || cols != wantedCols) {
      throw new IllegalArgumentException(
          rows + " x " + cols + " where " + wantedRows + " x " + wantedCols + " is meant");
    }
  }

  @Override
  public void close() {
    if (owner) {
      memory.close();
    }
  }
}
