package smelt.verify;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Locale;
import java.util.Set;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.SourceTensor;

/// What a tensor's values are tested for, by its name's last component and its type.
///
/// Weights are tested eight bytes at a time: a word that has a bad lane somewhere is looked at
/// again lane by lane.
sealed interface ValueCheck {

  /// Takes what is wrong.
  interface Sink {
    /// Takes one finding.
    ///
    /// @param offset of the first bad value, in bytes from the start of the piece
    void bad(Anomaly.Kind kind, long offset, long count, String example);
  }

  void scan(MemorySegment bytes, Sink sink);

  /// Nothing is tested.
  record Nothing() implements ValueCheck {
    @Override
    public void scan(MemorySegment bytes, Sink sink) {}
  }

  Set<String> SCALES =
      Set.of(
          "weight_scale_inv",
          "weight_scale",
          "weight_scale_2",
          "weight_global_scale",
          "input_scale",
          "input_global_scale",
          "deq_scale",
          "scale");

  static ValueCheck of(SourceTensor tensor) {
    String part = tensor.name().substring(tensor.name().lastIndexOf('.') + 1);
    ElementType type = tensor.type();
    boolean floats = WeightForm.NUMBERS.contains(type);
    if (SCALES.contains(part) && floats) {
      return new Scale(type);
    }
    if (part.equals("weight_offset") && floats) {
      return new Zero(type);
    }
    return switch (type) {
      case F8_E4M3 -> new Lanes(Anomaly.Kind.VALUE_NOT_FINITE, 1, 0x7F, 0x7F);
      case F8_E5M2 -> new Lanes(Anomaly.Kind.VALUE_NOT_FINITE, 1, 0x7C, 0x7C);
      case F8_E4M3FNUZ, F8_E5M2FNUZ -> new Lanes(Anomaly.Kind.VALUE_NOT_FINITE, 1, 0xFF, 0x80);
      case F8_E8M0 -> new Lanes(Anomaly.Kind.SCALE_NOT_FINITE, 1, 0xFF, 0xFF);
      case I8 -> new Lanes(Anomaly.Kind.INT8_MINIMUM, 1, 0xFF, 0x80);
      case BF16 -> new Lanes(Anomaly.Kind.VALUE_NOT_FINITE, 2, 0x7F80, 0x7F80);
      case F16 -> new Lanes(Anomaly.Kind.VALUE_NOT_FINITE, 2, 0x7C00, 0x7C00);
      case F32 -> new Lanes(Anomaly.Kind.VALUE_NOT_FINITE, 4, 0x7F80_0000L, 0x7F80_0000L);
      case F64 ->
          new Lanes(
              Anomaly.Kind.VALUE_NOT_FINITE, 8, 0x7FF0_0000_0000_0000L, 0x7FF0_0000_0000_0000L);
      case I32 -> part.equals("weight_packed") ? new Nibbles() : new Nothing();
      case BOOL, F4, F6_E2M3, F6_E3M2, U8, I16, U16, U32, C64, I64, U64 -> new Nothing();
    };
  }

  /// Finds values whose bits under `mask` are `bad`.
  ///
  /// @param width of a value in bytes: 1, 2, 4 or 8
  record Lanes(Anomaly.Kind kind, int width, long mask, long bad) implements ValueCheck {

    private static final ValueLayout.OfLong WORD =
        ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    @Override
    public void scan(MemorySegment bytes, Sink sink) {
      long masks = spread(mask);
      long bads = spread(bad);
      long ones = spread(1);
      long tops = spread(1L << (width * 8 - 1));
      long words = bytes.byteSize() / 8;
      for (long i = 0; i < words; i++) {
        long differs = (bytes.get(WORD, i * 8) & masks) ^ bads;
        if (((differs - ones) & ~differs & tops) != 0) {
          lanes(bytes, i * 8, i * 8 + 8, sink);
        }
      }
      lanes(bytes, words * 8, bytes.byteSize(), sink);
    }

    /// The same value in every lane of a word.
    private long spread(long lane) {
      long all = 0;
      for (int shift = 0; shift < 64; shift += width * 8) {
        all |= lane << shift;
      }
      return all;
    }

    private void lanes(MemorySegment bytes, long begin, long end, Sink sink) {
      for (long at = begin; at < end; at += width) {
        long value = value(bytes, at);
        if ((value & mask) == bad) {
          sink.bad(kind, at, 1, "0x" + Long.toHexString(value));
        }
      }
    }

    private long value(MemorySegment bytes, long at) {
      long value = 0;
      for (int i = width - 1; i >= 0; i--) {
        value = value << 8 | (bytes.get(ValueLayout.JAVA_BYTE, at + i) & 0xFF);
      }
      return value;
    }
  }

  /// Finds words of eight codes of which one is -8, stored as 0.
  record Nibbles() implements ValueCheck {

    private static final int ONES = 0x1111_1111;
    private static final int TOPS = 0x8888_8888;
    private static final ValueLayout.OfInt WORD =
        ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    @Override
    public void scan(MemorySegment bytes, Sink sink) {
      long count = 0;
      long first = 0;
      for (long at = 0; at <= bytes.byteSize() - Integer.BYTES; at += Integer.BYTES) {
        int codes = bytes.get(WORD, at);
        if (((codes - ONES) & ~codes & TOPS) != 0) {
          first = count == 0 ? at : first;
          count++;
        }
      }
      if (count > 0) {
        String word = String.format(Locale.ROOT, "0x%08x", bytes.get(WORD, first));
        sink.bad(Anomaly.Kind.INT4_MINIMUM, first, count, "a code of -8 in " + word);
      }
    }
  }

  /// Finds scales that are not finite, not positive, not normal, not a power of two. Each scale is
  /// counted once, but for the last.
  record Scale(ElementType type) implements ValueCheck {

    @Override
    public void scan(MemorySegment bytes, Sink sink) {
      int width = type.bits() / 8;
      double least = Scalars.leastNormal(type);
      for (long at = 0; at < bytes.byteSize(); at += width) {
        double value = Scalars.get(bytes, type, at);
        if (!Double.isFinite(value)) {
          sink.bad(Anomaly.Kind.SCALE_NOT_FINITE, at, 1, Double.toString(value));
        } else if (value <= 0) {
          sink.bad(Anomaly.Kind.SCALE_NOT_POSITIVE, at, 1, Double.toString(value));
        } else if (value < least) {
          sink.bad(Anomaly.Kind.SCALE_SUBNORMAL, at, 1, Double.toString(value));
        } else if (value != Math.scalb(1.0, Math.getExponent(value))) {
          sink.bad(Anomaly.Kind.SCALE_NOT_POWER_OF_TWO, at, 1, Double.toString(value));
        }
      }
    }
  }

  /// Finds offsets that are not zero.
  record Zero(ElementType type) implements ValueCheck {

    @Override
    public void scan(MemorySegment bytes, Sink sink) {
      int width = type.bits() / 8;
      for (long at = 0; at < bytes.byteSize(); at += width) {
        double value = Scalars.get(bytes, type, at);
        if (value != 0) {
          sink.bad(Anomaly.Kind.OFFSET_NOT_ZERO, at, 1, Double.toString(value));
        }
      }
    }
  }
}
