package smelt.calibrate.cuda;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import smelt.calibrate.math.DeviceProducts;
import smelt.calibrate.math.Matrix;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Tile;

/// Products of the reference model on a GPU. A weight is sent as it is stored, once for each
/// product; tokens and results go in parts of up to `PART_BYTES`. All of it goes by two lanes of
/// pinned memory: while a part is on its way to the device or back, the other one is computed or
/// copied by the host.
///
/// Tensor cores are not used: they round what goes in to BF16 and sum in an order of their own, and
/// what a calibration finds must not depend on where it ran.
public final class CudaProducts implements DeviceProducts {

  /// Bytes of tokens, and of results, of one part; one row at least.
  static final long PART_BYTES = 32L << 20;

  private static final int LANES = 2;

  /// Memory of the host that is pinned: tokens and results of each lane.
  public static final long HOST_BYTES = LANES * 2 * PART_BYTES;

  private final CudaDevice device;
  private final List<ProductLane> lanes = new ArrayList<>();
  private final long partBytes;
  private int turn;

  private CudaProducts(CudaDevice device, long partBytes) {
    this.device = device;
    this.partBytes = partBytes;
    try {
      for (int i = 0; i < LANES; i++) {
        lanes.add(new ProductLane(device));
      }
    } catch (RuntimeException e) {
      lanes.forEach(ProductLane::close);
      throw e;
    }
  }

  /// Opens the device that a probe found.
  ///
  /// @throws DeviceException if the driver does not take the kernels
  public static CudaProducts open(CudaState.Ready state) {
    return open(state, PART_BYTES);
  }

  static CudaProducts open(CudaState.Ready state, long partBytes) {
    CudaDevice device = CudaDevice.open(state);
    try {
      return new CudaProducts(device, partBytes);
    } catch (RuntimeException e) {
      device.close();
      throw e;
    }
  }

  /// Memory of the device for products with tiles of a weight.
  ///
  /// @param weightBytes codes and scales of the largest tile
  public static long deviceBytes(long weightBytes) {
    return Math.addExact(weightBytes, LANES * 2 * PART_BYTES);
  }

  @Override
  public String name() {
    return "cuda (" + device.state().text() + ")";
  }

  @Override
  public boolean takes(Encoding weight) {
    return DeviceWeight.isKnown(weight);
  }

  /// @throws DeviceException if the device fails
  @Override
  public void multiply(Matrix x, Tile w, Matrix out) {
    device.bind();
    long widest = Math.multiplyExact(Math.max(x.cols(), w.rows()), Float.BYTES);
    long part = Math.max(1, partBytes / widest);
    lanes.forEach(lane -> lane.require(Math.max(partBytes, widest)));
    try (DeviceWeight weight = new DeviceWeight(device, this::send, w)) {
      try {
        lanes.forEach(ProductLane::finish);
        for (long first = 0; first < x.rows(); first += part) {
          long count = Math.min(part, x.rows() - first);
          next().start(x.rows(first, count), weight, out.rows(first, count));
        }
      } finally {
        lanes.forEach(ProductLane::finish);
      }
    }
  }

  /// Sends bytes of a weight, piece by piece: one is copied while the one before is on its way.
  private void send(MemorySegment from, DeviceMemory to, long offset) {
    long bytes = from.byteSize();
    for (long at = 0; at < bytes; ) {
      ProductLane lane = next();
      long count = Math.min(lane.stagingBytes(), bytes - at);
      lane.send(from.asSlice(at, count), to, offset + at);
      at += count;
    }
  }

  private ProductLane next() {
    turn = (turn + 1) % LANES;
    return lanes.get(turn);
  }

  @Override
  public void close() {
    try {
      lanes.forEach(ProductLane::close);
    } finally {
      device.close();
    }
  }
}
