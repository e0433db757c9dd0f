package smelt.verify;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.checkpoint.SourceTensor;

/// Every code of every small type, against the type's definition.
class ValueCheckTest {

  private static List<Long> offsets(String name, ElementType type, byte[] bytes) {
    long count = bytes.length * 8L / type.bits();
    SourceTensor tensor = new SourceTensor(name, type, Shape.of(count), "f", 0, bytes.length);
    List<Long> offsets = new ArrayList<>();
    ValueCheck.of(tensor)
        .scan(
            MemorySegment.ofArray(bytes),
            (_, offset, found, _) -> {
              assertThat(found).isEqualTo(1);
              offsets.add(offset);
            });
    return offsets;
  }

  private static IntPredicate bad8(ElementType type) {
    return switch (type) {
      case F8_E4M3 -> code -> (code & 0x7F) == 0x7F;
      case F8_E5M2 -> code -> (code >> 2 & 0x1F) == 0x1F;
      case F8_E4M3FNUZ, F8_E5M2FNUZ, I8 -> code -> code == 0x80;
      case F8_E8M0 -> code -> code == 0xFF;
      default -> throw new IllegalArgumentException(type.toString());
    };
  }

  @ParameterizedTest
  @EnumSource(names = {"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0", "I8"})
  void findsEveryBadCodeOfEightBitsAtEveryPlaceInAWord(ElementType type) {
    for (int code = 0; code < 256; code++) {
      for (int at = 0; at < 19; at++) {
        byte[] bytes = new byte[19];
        java.util.Arrays.fill(bytes, (byte) 0x01);
        bytes[at] = (byte) code;
        List<Long> expected = bad8(type).test(code) ? List.of((long) at) : List.of();
        assertThat(offsets("a.weight", type, bytes))
            .as("%s code %d", type, code)
            .isEqualTo(expected);
      }
    }
  }

  @Test
  void findsEveryNonFiniteNumberOfSixteenBits() {
    byte[] bytes = new byte[2 << 16];
    ByteBuffer all = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    List<Long> brain = new ArrayList<>();
    List<Long> half = new ArrayList<>();
    for (int bits = 0; bits < 1 << 16; bits++) {
      all.putShort((short) bits);
      if (!Float.isFinite(Float.intBitsToFloat(bits << 16))) {
        brain.add(bits * 2L);
      }
      if (!Float.isFinite(Float.float16ToFloat((short) bits))) {
        half.add(bits * 2L);
      }
    }
    assertThat(offsets("a.weight", ElementType.BF16, bytes)).isEqualTo(brain);
    assertThat(offsets("a.weight", ElementType.F16, bytes)).isEqualTo(half);
  }

  @Test
  void tellsWhatIsWrongWithAScale() {
    float[] scales = {
      1, 0.75f, 0, -0f, -1, Float.NaN, Float.POSITIVE_INFINITY, Float.MIN_VALUE, Float.MIN_NORMAL
    };
    ByteBuffer bytes = ByteBuffer.allocate(scales.length * 4).order(ByteOrder.LITTLE_ENDIAN);
    for (float scale : scales) {
      bytes.putFloat(scale);
    }
    SourceTensor tensor =
        new SourceTensor(
            "a.weight_scale", ElementType.F32, Shape.of(scales.length), "f", 0, bytes.capacity());
    List<Anomaly.Kind> kinds = new ArrayList<>();
    ValueCheck.of(tensor)
        .scan(MemorySegment.ofArray(bytes.array()), (kind, _, _, _) -> kinds.add(kind));
    assertThat(kinds)
        .containsExactly(
            Anomaly.Kind.SCALE_NOT_POWER_OF_TWO,
            Anomaly.Kind.SCALE_NOT_POSITIVE,
            Anomaly.Kind.SCALE_NOT_POSITIVE,
            Anomaly.Kind.SCALE_NOT_POSITIVE,
            Anomaly.Kind.SCALE_NOT_FINITE,
            Anomaly.Kind.SCALE_NOT_FINITE,
            Anomaly.Kind.SCALE_SUBNORMAL);
  }
}
