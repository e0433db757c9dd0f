package smelt.calibrate.math;

import smelt.formats.codec.Encoding;
import smelt.formats.codec.Tile;

/// Products with weights on another device than the processor, **to the same bits** as the vector
/// kernels in their steady order: each number is one chain of fused multiply-adds of F32 numbers,
/// in the order of the columns. Used by one thread at a time.
public interface DeviceProducts extends AutoCloseable {

  /// Name for the log, such as that of the device.
  String name();

  /// Whether it multiplies with weights in an encoding.
  boolean takes(Encoding weight);

  /// `out = x * wT`: `x` is n x k, `w` m x k, `out` n x m. It is done when this returns.
  void multiply(Matrix x, Tile w, Matrix out);

  @Override
  void close();
}
