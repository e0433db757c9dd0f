package smelt.calibrate.cuda;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import smelt.calibrate.math.DeviceProducts;
import smelt.calibrate.math.Matrix;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Tile;
import smelt.formats.files.Thorough;

/// Products of the reference model on a GPU. A weight is sent as it is stored, once for each
/// product; tokens and results go in parts of up to `PART_BYTES`. All of it goes by two lanes of
/// pinned memory: while a part is on its way to the device or back, the other one is computed or
/// copied by the host.
///
/// Tensor cores are not used: they round what goes in to BF16 and sum in an order of their own, and
/// what a calibration finds must not depend on where it ran.
public final class CudaProducts implements DeviceProducts {

  /// Bytes of tokens, and of results, of one part: rows of up to eight million numbers.
  static final long PART_BYTES = 32L << 20;

  private static final int LANES = 2;

  /// Memory of the host that is pinned: tokens and results of each lane.
  public static final long HOST_BYTES = LANES * 2 * PART_BYTES;

  private final Closing closing = new Closing();
  private final CudaDevice device;
  private final List<ProductLane> lanes = new ArrayList<>();
  private final long partBytes;
  private int turn;

  private CudaProducts(CudaState.Ready state, long partBytes) {
    this.partBytes = partBytes;
    device = closing.add(CudaDevice.open(state), CudaDevice::close);
    try {
      for (int i = 0; i < LANES; i++) {
        lanes.add(closing.add(new ProductLane(device, partBytes), ProductLane::close));
      }
    } catch (RuntimeException e) {
      closing.after(e);
      throw e;
    }
  }

  /// Opens the device that a probe found.
  ///
  /// @throws DeviceException if the driver does not take the kernels
  public static CudaProducts open(CudaState.Ready state) {
    return open(state, PART_BYTES);
  }

  /// @param partBytes at least those of a row of tokens, and of results
  static CudaProducts open(CudaState.Ready state, long partBytes) {
    return new CudaProducts(state, partBytes);
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
    if (widest > partBytes) {
      throw new IllegalArgumentException("rows of " + widest + " bytes");
    }
    try (DeviceWeight weight = new DeviceWeight(device, this::send, w)) {
      multiply(x, weight, out, partBytes / widest);
    }
  }

  private void multiply(Matrix x, DeviceWeight weight, Matrix out, long part) {
    try {
      finish();
      for (long first = 0; first < x.rows(); first += part) {
        long count = Math.min(part, x.rows() - first);
        next().start(x.rows(first, count), weight, out.rows(first, count));
      }
      finish();
    } catch (RuntimeException e) {
      settle(e);
      throw e;
    }
  }

  private void finish() {
    Thorough.forEach(lanes, ProductLane::finish);
  }

  /// Waits for what was started before a failure.
  private void settle(RuntimeException failure) {
    try {
      finish();
    } catch (RuntimeException e) {
      failure.addSuppressed(e);
    }
  }

  /// Sends bytes of a weight, piece by piece: one is copied while the one before is on its way.
  private void send(MemorySegment from, DeviceMemory to, long offset) {
    long bytes = from.byteSize();
    try {
      for (long at = 0; at < bytes; ) {
        ProductLane lane = next();
        long count = Math.min(lane.stagingBytes(), bytes - at);
        lane.send(from.asSlice(at, count), to, offset + at);
        at += count;
      }
    } catch (RuntimeException e) {
      settle(e);
      throw e;
    }
  }

  private ProductLane next() {
    turn = (turn + 1) % LANES;
    return lanes.get(turn);
  }

  @Override
  public void close() {
    closing.close();
  }
}
