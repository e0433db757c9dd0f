package smelt.calibrate.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import smelt.calibrate.math.DeviceProducts;
import smelt.calibrate.math.Matrix;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Tile;
import smelt.formats.codec.TileDecoder;

/// Compares a device's products with a plain loop before they are trusted.
public final class ProductsCheck {

  private static final long TOKENS = 9;

  private ProductsCheck() {}

  /// @throws DeviceException if the device gives other bits
  public static void check(DeviceProducts device, Encoding encoding) {
    try (Arena arena = Arena.ofConfined()) {
      Random random = new Random(TranscoderCheck.SEED);
      Tile w = TranscoderCheck.tile(arena, encoding);
      TranscoderCheck.fill(w, random);
      Matrix x = Matrix.zeros(arena, TOKENS, TranscoderCheck.COLS);
      for (long t = 0; t < TOKENS; t++) {
        for (long i = 0; i < TranscoderCheck.COLS; i++) {
          x.set(t, i, (float) random.nextGaussian());
        }
      }
      Matrix found = Matrix.zeros(arena, TOKENS, TranscoderCheck.ROWS);
      device.multiply(x, w, found);
      Matrix expected = product(arena, x, w);
      if (found.data().mismatch(expected.data()) != -1) {
        throw new DeviceException(
            device.name() + " gives other products than the processor for " + encoding);
      }
    }
  }

  /// One fused multiply-add after the other.
  static Matrix product(Arena arena, Matrix x, Tile w) {
    MemorySegment scratch =
        arena.allocate(Math.max(1, TileDecoder.scratchBytes(w.encoding(), w.cols())));
    TileDecoder decoder = new TileDecoder(KernelSet.choose("scalar"), w, scratch, 0);
    Matrix row = Matrix.zeros(arena, 1, w.cols());
    Matrix out = Matrix.zeros(arena, x.rows(), w.rows());
    for (long r = 0; r < w.rows(); r++) {
      decoder.read(r, 0, w.cols(), row.data(), row.offset());
      for (long t = 0; t < x.rows(); t++) {
        float sum = 0;
        for (long i = 0; i < w.cols(); i++) {
          sum = Math.fma(row.get(0, i), x.get(t, i), sum);
        }
        out.set(t, r, sum);
      }
    }
    return out;
  }
}
