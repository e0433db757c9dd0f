package smelt.formats;

import java.util.Optional;

/// The element types of a safetensors file (format of 2026), under their names in the header.
///
/// The order is that of the reference implementation, which writes tensors by descending order of
/// type: the widest come first, so every tensor is naturally aligned.
public enum ElementType {
  BOOL(8),
  F4(4),
  F6_E2M3(6),
  F6_E3M2(6),
  U8(8),
  I8(8),
  F8_E5M2(8),
  F8_E4M3(8),
  F8_E8M0(8),
  F8_E4M3FNUZ(8),
  F8_E5M2FNUZ(8),
  I16(16),
  U16(16),
  F16(16),
  BF16(16),
  I32(32),
  U32(32),
  F32(32),
  C64(64),
  F64(64),
  I64(64),
  U64(64);

  private final int bits;

  ElementType(int bits) {
    this.bits = bits;
  }

  /// Width of one element in bits; 4 and 6 for the packed types.
  public int bits() {
    return bits;
  }

  /// Bytes of `elements` packed elements.
  ///
  /// @throws ArithmeticException if the size overflows a long, or is not a whole number of bytes
  public long bytes(long elements) {
    long total = Math.multiplyExact(elements, (long) bits);
    if (total % 8 != 0) {
      throw new ArithmeticException(
          elements + " elements of " + this + " are not a whole number of bytes");
    }
    return total / 8;
  }

  /// The type that a header names so; empty when it names none (names are upper case).
  public static Optional<ElementType> named(String name) {
    for (ElementType type : values()) {
      if (type.name().equals(name)) {
        return Optional.of(type);
      }
    }
    return Optional.empty();
  }
}
