package smelt.verify;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// Single stored numbers: little-endian, at any alignment.
final class Scalars {

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfDouble F64 =
      ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort B16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Scalars() {}

  /// The first number of a tensor of floats.
  static double read(ModelSource source, SourceTensor tensor) throws IOException {
    try (Arena arena = Arena.ofConfined();
        ByteSource file = source.open(tensor.file())) {
      MemorySegment bytes = arena.allocate(tensor.type().bits() / 8);
      file.read(tensor.offset(), bytes);
      return get(bytes, tensor.type(), 0);
    }
  }

  /// The first number of a tensor of I8.
  static byte readByte(ModelSource source, SourceTensor tensor) throws IOException {
    try (Arena arena = Arena.ofConfined();
        ByteSource file = source.open(tensor.file())) {
      MemorySegment bytes = arena.allocate(1);
      file.read(tensor.offset(), bytes);
      return bytes.get(ValueLayout.JAVA_BYTE, 0);
    }
  }

  /// The number at a byte offset.
  ///
  /// @param type F64, F32, BF16 or F16
  static double get(MemorySegment bytes, ElementType type, long at) {
    return switch (type) {
      case F64 -> bytes.get(F64, at);
      case F32 -> bytes.get(F32, at);
      case BF16 -> Float.intBitsToFloat(bytes.get(B16, at) << 16);
      case F16 -> Float.float16ToFloat(bytes.get(B16, at));
      default -> throw new IllegalArgumentException("no float: " + type);
    };
  }

  /// Smallest positive normal number of a type of floats.
  static double leastNormal(ElementType type) {
    return switch (type) {
      case F64 -> Double.MIN_NORMAL;
      case F16 -> 0x1p-14;
      default -> Float.MIN_NORMAL;
    };
  }
}
