package smelt.formats.gguf;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/// A value of GGUF metadata. Its kind is part of it: readers of a key expect one kind, and an
/// integer of another width is not taken for it.
public sealed interface GgufValue {

  /// The kinds of values.
  enum Kind {
    U8(0, 1),
    I8(1, 1),
    U16(2, 2),
    I16(3, 2),
    U32(4, 4),
    I32(5, 4),
    F32(6, 4),
    BOOL(7, 1),
    TEXT(8, 8),
    ARRAY(9, 12),
    U64(10, 8),
    I64(11, 8),
    F64(12, 8);

    private final int id;
    private final int leastBytes;

    Kind(int id, int leastBytes) {
      this.id = id;
      this.leastBytes = leastBytes;
    }

    /// The number that stands for the kind in a file.
    public int id() {
      return id;
    }

    /// The kind of a number in a file; empty for what is none.
    static Optional<Kind> of(long id) {
      return Arrays.stream(values()).filter(kind -> kind.id == id).findFirst();
    }

    /// The fewest bytes of a value: all of a number, the length of a text, the head of an array.
    int leastBytes() {
      return leastBytes;
    }
  }

  /// What kind of value it is.
  Kind kind();

  /// The value for people, in one line; an array as the number of its values.
  ///
  /// @param most characters before it is cut
  default String shown(int most) {
    String text =
        switch (this) {
          case U8(int v) -> Integer.toString(v);
          case I8(byte v) -> Byte.toString(v);
          case U16(int v) -> Integer.toString(v);
          case I16(short v) -> Short.toString(v);
          case U32(long v) -> Long.toString(v);
          case I32(int v) -> Integer.toString(v);
          case F32(float v) -> Float.toString(v);
          case Bool(boolean v) -> Boolean.toString(v);
          case Text(String v) -> "'" + v + "'";
          case Array(Kind elements, List<GgufValue> values) ->
              values.size() + " values of " + elements;
          case U64(long v) -> Long.toUnsignedString(v);
          case I64(long v) -> Long.toString(v);
          case F64(double v) -> Double.toString(v);
        };
    StringBuilder line = new StringBuilder();
    text.codePoints()
        .limit(most)
        .forEach(c -> line.appendCodePoint(Character.isISOControl(c) ? ' ' : c));
    return text.codePointCount(0, text.length()) > most ? line + "..." : line.toString();
  }

  record U8(int value) implements GgufValue {
    public U8 {
      requireRange(value, 0, 0xFF);
    }

    @Override
    public Kind kind() {
      return Kind.U8;
    }
  }

  record I8(byte value) implements GgufValue {
    @Override
    public Kind kind() {
      return Kind.I8;
    }
  }

  record U16(int value) implements GgufValue {
    public U16 {
      requireRange(value, 0, 0xFFFF);
    }

    @Override
    public Kind kind() {
      return Kind.U16;
    }
  }

  record I16(short value) implements GgufValue {
    @Override
    public Kind kind() {
      return Kind.I16;
    }
  }

  record U32(long value) implements GgufValue {
    public U32 {
      requireRange(value, 0, 0xFFFF_FFFFL);
    }

    @Override
    public Kind kind() {
      return Kind.U32;
    }
  }

  record I32(int value) implements GgufValue {
    @Override
    public Kind kind() {
      return Kind.I32;
    }
  }

  record F32(float value) implements GgufValue {
    @Override
    public Kind kind() {
      return Kind.F32;
    }
  }

  record Bool(boolean value) implements GgufValue {
    @Override
    public Kind kind() {
      return Kind.BOOL;
    }
  }

  record Text(String value) implements GgufValue {
    @Override
    public Kind kind() {
      return Kind.TEXT;
    }
  }

  /// Values of one kind, which is no array.
  record Array(Kind elements, List<GgufValue> values) implements GgufValue {
    public Array {
      values = List.copyOf(values);
      if (elements == Kind.ARRAY) {
        throw new IllegalArgumentException("an array of arrays");
      }
      for (GgufValue value : values) {
        if (value.kind() != elements) {
          throw new IllegalArgumentException(value.kind() + " in an array of " + elements);
        }
      }
    }

    @Override
    public Kind kind() {
      return Kind.ARRAY;
    }
  }

  /// @param value unsigned: what is above the range of a long shows as negative
  record U64(long value) implements GgufValue {
    @Override
    public Kind kind() {
      return Kind.U64;
    }
  }

  record I64(long value) implements GgufValue {
    @Override
    public Kind kind() {
      return Kind.I64;
    }
  }

  record F64(double value) implements GgufValue {
    @Override
    public Kind kind() {
      return Kind.F64;
    }
  }

  /// An array of texts.
  static Array texts(List<String> texts) {
    return new Array(Kind.TEXT, texts.stream().<GgufValue>map(Text::new).toList());
  }

  /// An array of signed numbers.
  static Array ints(List<Integer> numbers) {
    return new Array(Kind.I32, numbers.stream().<GgufValue>map(I32::new).toList());
  }

  private static void requireRange(long value, long least, long most) {
    if (value < least || value > most) {
      throw new IllegalArgumentException(value + " is not from " + least + " to " + most);
    }
  }
}
