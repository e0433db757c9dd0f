package smelt.calibrate.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import smelt.calibrate.math.DeviceProducts;
import smelt.calibrate.math.Matrix;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Tile;

/// Products of the reference model on a GPU. A weight is sent as it is stored, once for each
/// product; tokens and results go in parts of up to `PART_BYTES`.
///
/// Tensor cores are not used: they round what goes in to BF16 and sum in an order of their own, and
/// what a calibration finds must not depend on where it ran.
public final class CudaProducts implements DeviceProducts {

  /// Bytes of tokens, and of results, that are on the device at once; one row at least.
  static final long PART_BYTES = 32L << 20;

  /// Native memory of the host: tokens or results whose rows do not follow each other.
  public static final long HOST_BYTES = 2 * PART_BYTES;

  private static final long ALIGNMENT = 64;

  private final Arena arena = Arena.ofShared();
  private final CudaDevice device;
  private final CudaMath math;
  private final long partBytes;
  private Optional<MemorySegment> bounce = Optional.empty();

  private CudaProducts(CudaDevice device, long partBytes) {
    this.device = device;
    this.partBytes = partBytes;
    math = new CudaMath(device);
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
    return Math.addExact(weightBytes, 2 * PART_BYTES);
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
    try (DeviceWeight weight = math.send(w)) {
      for (long first = 0; first < x.rows(); first += part) {
        long count = Math.min(part, x.rows() - first);
        multiply(x.rows(first, count), weight, out.rows(first, count));
      }
    }
  }

  private void multiply(Matrix x, DeviceWeight weight, Matrix out) {
    Matrix packed = isPacked(x) ? x : copy(x, between(0, x));
    boolean direct = isPacked(out);
    Matrix result = direct ? out : between(Matrix.bytes(x.rows(), x.cols()), out);
    try (DeviceMatrix sent = math.send(packed);
        DeviceMatrix product = math.matrix(out.rows(), out.cols())) {
      math.multiplyPlain(sent, weight, product);
      math.read(product, result);
    }
    if (!direct) {
      copy(result, out);
    }
  }

  private static boolean isPacked(Matrix matrix) {
    return matrix.stride() == matrix.cols();
  }

  /// A matrix of the same size whose rows follow each other, in memory from `offset` on.
  private Matrix between(long offset, Matrix like) {
    long bytes = offset + Matrix.bytes(like.rows(), like.cols());
    if (bounce.isEmpty() || bounce.get().byteSize() < bytes) {
      bounce = Optional.of(arena.allocate(Math.max(2 * partBytes, bytes), ALIGNMENT));
    }
    return new Matrix(bounce.get(), offset, like.rows(), like.cols(), like.cols());
  }

  private static Matrix copy(Matrix from, Matrix to) {
    for (long row = 0; row < from.rows(); row++) {
      MemorySegment.copy(
          from.data(), from.at(row, 0), to.data(), to.at(row, 0), Float.BYTES * from.cols());
    }
    return to;
  }

  @Override
  public void close() {
    try (arena) {
      math.close();
    } finally {
      device.close();
    }
  }
}
