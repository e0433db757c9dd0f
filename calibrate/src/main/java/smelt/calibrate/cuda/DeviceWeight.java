package smelt.calibrate.cuda;

import java.lang.foreign.MemorySegment;
import smelt.formats.ElementType;
import smelt.formats.UnsupportedException;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Tile;

/// A weight in the device's memory as it is stored: codes and F32 scales. It has no NaN codes,
/// which tensor cores would take for 480. Whoever makes it closes it.
public final class DeviceWeight implements AutoCloseable {

  private final TileForm form;
  private final Closing closing = new Closing();
  private final DeviceMemory codes;
  private final DeviceMemory scales;
  private final long rows;
  private final long cols;

  /// Sends bytes of the host to the device.
  @FunctionalInterface
  interface Sender {
    void send(MemorySegment from, DeviceMemory to, long offset);
  }

  /// Sends a weight to the device; the tile stays as it is until the sender has finished.
  ///
  /// @throws UnsupportedException unless it is F32, BF16, or E4M3 or INT8 with F32 scales
  DeviceWeight(CudaDevice device, Sender sender, Tile weight) {
    requireKnown(weight.encoding());
    this.form = TileForm.of(weight);
    this.rows = weight.rows();
    this.cols = weight.cols();
    try {
      codes = closing.add(device.allocate(form.codeBytes()), DeviceMemory::close);
      long scaleBytes = form.scaleBytes();
      scales = closing.add(device.allocate(Math.max(Float.BYTES, scaleBytes)), DeviceMemory::close);
      sender.send(weight.codes().asSlice(weight.codesOffset(), form.codeBytes()), codes, 0);
      if (form.scales() > 0) {
        sender.send(weight.scales().asSlice(weight.scalesOffset(), scaleBytes), scales, 0);
      }
    } catch (RuntimeException e) {
      closing.after(e);
      throw e;
    }
  }

  /// Whether the kernels multiply with weights in an encoding.
  static boolean isKnown(Encoding encoding) {
    return switch (encoding) {
      case Encoding.Plain(ElementType type) -> type == ElementType.BF16 || type == ElementType.F32;
      case Encoding.Block b -> isCode(b.type()) && b.scaleType() == ElementType.F32;
      case Encoding.Channel c -> isCode(c.type()) && c.scaleType() == ElementType.F32;
      case Encoding.Int4 _, Encoding.Ggml _ -> false;
    };
  }

  private static void requireKnown(Encoding encoding) {
    if (!isKnown(encoding)) {
      throw new UnsupportedException(
          "multiplying with " + encoding + " on a GPU",
          "weights in F32 and BF16, and in E4M3 and INT8 with F32 scales, are");
    }
  }

  private static boolean isCode(ElementType type) {
    return type == ElementType.F8_E4M3 || type == ElementType.I8;
  }

  public long rows() {
    return rows;
  }

  public long cols() {
    return cols;
  }

  TileForm form() {
    return form;
  }

  long codesAddress() {
    return codes.address(0, codes.bytes());
  }

  long scalesAddress() {
    return scales.address(0, scales.bytes());
  }

  @Override
  public void close() {
    closing.close();
  }
}
