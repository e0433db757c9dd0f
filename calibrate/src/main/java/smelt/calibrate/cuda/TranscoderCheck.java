package smelt.calibrate.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.codec.DeviceTranscoder;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;

/// Compares a device with the scalar kernels before it is trusted: codes of all kinds, numbers and
/// scales of many sizes, rows that end inside a block.
public final class TranscoderCheck {

  static final long ROWS = 200;
  static final long COLS = 264;
  static final long SEED = 5;

  private TranscoderCheck() {}

  /// @throws DeviceException if the device gives other bytes
  public static void check(DeviceTranscoder device, Encoding from, Encoding to) {
    try (Arena arena = Arena.ofConfined()) {
      Tile in = tile(arena, from);
      fill(in, new Random(SEED));
      Tile expected = tile(arena, to);
      Tile found = tile(arena, to);
      MemorySegment scratch = arena.allocate(Transcoder.scratchBytes(from, to, COLS));
      Transcoder.transcode(KernelSet.choose("scalar"), in, expected, scratch);
      device.transcode(in, found);
      if (found.codes().mismatch(expected.codes()) != -1
          || found.scales().mismatch(expected.scales()) != -1) {
        throw new DeviceException(
            device.name() + " gives other bytes than the processor for " + from + " to " + to);
      }
    }
  }

  static Tile tile(Arena arena, Encoding encoding) {
    Shape shape = Shape.of(ROWS, COLS);
    ElementType scaleType = encoding.scales().orElse(ElementType.F32);
    MemorySegment scales =
        encoding
            .scaleShape(shape)
            .map(s -> arena.allocate(s.bytes(scaleType)))
            .orElse(MemorySegment.NULL);
    return new Tile(
        encoding, arena.allocate(encoding.codeBytes(shape.elements())), 0, scales, 0, ROWS, COLS);
  }

  static void fill(Tile tile, Random random) {
    for (long i = 0; i < ROWS * COLS; i++) {
      float value = (float) (random.nextGaussian() * Math.scalb(1.0, random.nextInt(16) - 12));
      put(tile.codes(), tile.encoding().type(), i, value, random);
    }
    ElementType type = tile.encoding().scales().orElse(ElementType.F32);
    for (long i = 0; i < tile.scales().byteSize() / type.bytes(1); i++) {
      float scale = (float) Math.scalb(0.5 + random.nextFloat(), random.nextInt(12) - 10);
      put(tile.scales(), type, i, scale, random);
    }
  }

  private static void put(
      MemorySegment memory, ElementType type, long index, float value, Random random) {
    int bits = Float.floatToRawIntBits(value);
    switch (type) {
      case F32 -> memory.setAtIndex(ValueLayout.JAVA_INT_UNALIGNED, index, bits);
      case BF16 ->
          memory.setAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, index, (short) (bits >>> 16));
      case F16 ->
          memory.setAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, index, Float.floatToFloat16(value));
      default -> memory.set(ValueLayout.JAVA_BYTE, index, finite(type, random));
    }
  }

  private static byte finite(ElementType type, Random random) {
    int code = random.nextInt(256);
    boolean special =
        (type == ElementType.F8_E4M3 && (code & 0x7F) == 0x7F)
            || (type == ElementType.F8_E5M2 && (code & 0x7C) == 0x7C);
    return special ? 0 : (byte) code;
  }
}
