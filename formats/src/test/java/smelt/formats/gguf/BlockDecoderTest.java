package smelt.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.formats.UnsupportedException;

class BlockDecoderTest {

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /// Blocks of zeros but for a few bytes, and an element that they make, computed by hand. F16
  /// 0x3C00 is 1, 0x3800 is 0.5.
  @ParameterizedTest
  @CsvSource({
    // Each byte's place, then its value.
    "Q8_0,   1=3C 2=80 33=7F, 0, -128",
    "Q8_0,   1=3C 2=80 33=7F, 31, 127",
    "Q4_0,   1=3C 17=1F, 15, 7",
    "Q4_0,   1=3C 17=1F, 31, -7",
    "Q4_0,   1=3C 17=1F, 0, -8",
    "Q4_1,   1=3C 3=38 5=E3, 1, 3.5",
    "Q4_1,   1=3C 3=38 5=E3, 17, 14.5",
    "Q5_0,   1=3C 5=80 21=21, 15, -15",
    "Q5_0,   1=3C 5=80 21=21, 31, 2",
    "Q5_1,   1=3C 3=38 4=02 9=1F, 1, 31.5",
    "Q5_1,   1=3C 3=38 4=02 9=1F, 17, 1.5",
    "IQ4_NL, 1=3C 2=F0, 0, -127",
    "IQ4_NL, 1=3C 2=F0, 16, 113",
    "MXFP4,  0=80 16=7F, 15, -12",
    "MXFP4,  0=80 16=7F, 31, 12",
    "MXFP4,  0=00 1=01, 0, 0x1p-128",
    "MXFP4,  0=FF 1=01, 0, 0x1p127",
    // Elements 33, 97, 129 and 255: sub-blocks 2, 6, 8 and 15.
    "Q2_K,   81=3C 83=38 2=23 17=0C, 33, 8",
    "Q2_K,   81=3C 83=38 6=F5 17=C0, 97, 7.5",
    "Q2_K,   81=3C 83=38 8=21 49=02, 129, 1",
    "Q2_K,   81=3C 83=38 15=0F 79=C0, 255, 45",
    "Q3_K,   109=3C 96=01 104=02, 0, -4",
    "Q3_K,   109=3C 98=0F 32=00 33=0C 1=02, 33, -51",
    "Q3_K,   109=3C 103=F0 107=C0 31=80 95=C0, 255, 93",
    "Q4_K,   1=3C 3=38 4=3F 8=3E 17=0F, 1, 914",
    "Q4_K,   1=3C 3=38 7=80 11=C0 15=21 143=D0, 255, 404",
    "Q5_K,   1=3C 3=38 5=02 9=01 17=02 49=30, 33, 37.5",
    "Q5_K,   1=3C 3=38 7=80 11=C0 15=21 47=80 175=D0, 255, 932",
    "Q6_K,   209=3C 192=FF 0=0F 128=01, 0, 1",
    "Q6_K,   209=3C 197=02 65=00 17=F0, 81, -34",
    "Q6_K,   209=3C 207=7F 127=F0 191=C0, 255, 3937",
    "IQ4_XS, 1=3C 4=01 2=02 8=08, 0, 1",
    "IQ4_XS, 1=3C 7=F0 3=C0 135=F0, 255, 3503"
  })
  void readsWhatStandsInABlock(GgmlType type, String bytes, int element, float expected) {
    float[] values = decode(type, planted(type.blockBytes(), bytes));
    assertThat(values).hasSize(type.blockElements());
    assertThat(values[element]).isEqualTo(expected);
  }

  @Test
  void readsPlainNumbersToTheBit() {
    for (int code = 0; code < 1 << 16; code++) {
      byte[] number = {(byte) code, (byte) (code >> 8)};
      float half = decode(GgmlType.F16, number)[0];
      assertThat((Float) half).isEqualTo((Float) Float.float16ToFloat((short) code));
      float brain = decode(GgmlType.BF16, number)[0];
      assertThat(Float.floatToRawIntBits(brain)).isEqualTo(code << 16);
    }
    assertThat(decode(GgmlType.F32, new byte[] {0, 0, (byte) 0x80, (byte) 0xBF}))
        .containsExactly(-1);
  }

  /// Rows lie one behind the other; what is around the output stays.
  @ParameterizedTest
  @EnumSource(
      mode = EnumSource.Mode.INCLUDE,
      names = {"F16", "Q8_0", "Q5_1", "Q2_K", "IQ4_XS", "MXFP4"})
  void readsRowsAtAnyOffset(GgmlType type) {
    int cols = 3 * type.blockElements();
    int bytes = 3 * type.blockBytes();
    byte[] in = new byte[5 + 2 * bytes];
    for (int i = 0; i < in.length; i++) {
      in[i] = (byte) (i * 37 % 121);
    }
    byte[] out = new byte[3 + 2 * cols * Float.BYTES + 1];
    Arrays.fill(out, (byte) 0x5A);
    MemorySegment to = MemorySegment.ofArray(out);
    BlockDecoder.decode(type, MemorySegment.ofArray(in), 5, 2, cols, to, 3);
    for (int block = 0; block < 6; block++) {
      int at = 5 + block * type.blockBytes();
      float[] alone = decode(type, Arrays.copyOfRange(in, at, at + type.blockBytes()));
      float[] together = new float[alone.length];
      MemorySegment.copy(to, F32, 3 + 4L * block * alone.length, together, 0, alone.length);
      assertThat(together).isEqualTo(alone);
    }
    assertThat(Arrays.copyOf(out, 3)).containsOnly(0x5A);
    assertThat(out[out.length - 1]).isEqualTo((byte) 0x5A);
  }

  @Test
  void saysWhichTypesItReads() {
    assertThat(Arrays.stream(GgmlType.values()).filter(BlockDecoder::canRead).map(Enum::name))
        .containsExactly(
            "F32", "F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
            "Q6_K", "IQ4_NL", "IQ4_XS", "BF16", "MXFP4");
  }

  @Test
  void refusesOtherTypesAndPartsOfBlocksAndWhatDoesNotFit() {
    MemorySegment in = MemorySegment.ofArray(new byte[68]);
    MemorySegment out = MemorySegment.ofArray(new byte[256]);
    assertThatThrownBy(() -> BlockDecoder.decode(GgmlType.IQ1_S, in, 0, 1, 256, out, 0))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("reading IQ1_S is not supported");
    assertThatThrownBy(() -> BlockDecoder.decode(GgmlType.Q8_0, in, 0, 1, 33, out, 0))
        .isInstanceOf(ArithmeticException.class);
    assertThatThrownBy(() -> BlockDecoder.decode(GgmlType.Q8_0, in, 1, 1, 64, out, 0))
        .isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> BlockDecoder.decode(GgmlType.Q8_0, in, 0, 1, 64, out, 1))
        .isInstanceOf(IndexOutOfBoundsException.class);
  }

  private static byte[] planted(int length, String bytes) {
    byte[] block = new byte[length];
    for (String planted : bytes.split(" ", -1)) {
      String[] placeAndValue = planted.split("=", -1);
      block[Integer.parseInt(placeAndValue[0])] = HexFormat.of().parseHex(placeAndValue[1])[0];
    }
    return block;
  }

  private static float[] decode(GgmlType type, byte[] block) {
    float[] values = new float[type.blockElements()];
    byte[] out = new byte[values.length * Float.BYTES];
    MemorySegment to = MemorySegment.ofArray(out);
    BlockDecoder.decode(type, MemorySegment.ofArray(block), 0, 1, values.length, to, 0);
    MemorySegment.copy(to, F32, 0, values, 0, values.length);
    return values;
  }
}
