package smelt.formats.experts;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.formats.Checkout;

class AmxLayoutTest {

  /// A row of subnormals, of which the runtime makes a row of least codes. Its kernels multiply
  /// these wrongly, so that row alone is not to be equal.
  private static final int SUBNORMAL_ROW = 17;

  @ParameterizedTest
  @CsvSource({
    "int8_n64_k128, 64, 128",
    "int8_n160_k128, 160, 128",
    "int8_n96_k3712, 96, 3712",
    "int4_n64_k128, 64, 128",
    "int4_n96_k256, 96, 256",
    "int4_n160_k3712, 160, 3712"
  })
  void packsAsTheRuntimeDoes(String name, int n, int k) throws IOException {
    AmxLayout layout = name.startsWith("int8") ? AmxLayout.INT8 : AmxLayout.INT4;
    RowRule rule = layout == AmxLayout.INT8 ? RowRule.KT_INT8 : RowRule.KT_INT4;
    float[] input = GoldenVectors.bf16("vectors/" + name + ".in.bf16");
    float[] scales = GoldenVectors.f32("vectors/" + name + ".scale.f32");
    byte[] golden =
        GoldenVectors.bytes(
            "vectors/" + name + (layout == AmxLayout.INT8 ? ".weight.i8" : ".weight.u4"));
    byte[] codes = new byte[n * k];
    byte[] row = new byte[k];
    for (int r = 0; r < n; r++) {
      float scale = rule.quantize(GoldenVectors.row(input, k, r), k, row);
      System.arraycopy(row, 0, codes, r * k, k);
      if (r != SUBNORMAL_ROW) {
        assertThat(scale).as("scale of row %d", r).isEqualTo(scales[r]);
      }
    }
    byte[] packed = new byte[(int) layout.bytes(n, k)];
    layout.pack(segment(codes), 0, k, n, k, segment(packed), 0);
    int differing = 0;
    for (int r = 0; r < n; r++) {
      for (int c = 0; c < k; c++) {
        int at = (int) layout.offset(n, k, r, c);
        int shift = layout.isHigh(c) ? 4 : 0;
        int mask = layout == AmxLayout.INT8 ? 0xFF : 0xF;
        boolean same = (packed[at] >> shift & mask) == (golden[at] >> shift & mask);
        if (r == SUBNORMAL_ROW) {
          assertThat(golden[at] >> shift & mask).isEqualTo(layout == AmxLayout.INT8 ? 0x80 : 8);
        } else if (!same) {
          differing++;
        }
      }
    }
    assertThat(differing).isZero();
    assertThat(packed).hasSameSizeAs(golden);
  }

  @ParameterizedTest
  @CsvSource({"int8, 8", "int4, 4"})
  void makesTheTreeThatTheRuntimeSaved(String name, int bits) throws IOException {
    AmxLayout layout = bits == 8 ? AmxLayout.INT8 : AmxLayout.INT4;
    RowRule rule = bits == 8 ? RowRule.KT_INT8 : RowRule.KT_INT4;
    int h = 256;
    int slice = 128;
    int files = 0;
    for (String projection : new String[] {"gate", "up", "down"}) {
      float[] experts = GoldenVectors.bf16("tree/in/" + projection + ".bf16");
      boolean down = projection.equals("down");
      int n = down ? h : slice;
      int k = down ? slice : h;
      for (int expert = 0; expert < 2; expert++) {
        for (int numa = 0; numa < 2; numa++) {
          byte[] codes = new byte[n * k];
          byte[] row = new byte[k];
          java.nio.ByteBuffer scales =
              java.nio.ByteBuffer.allocate(4 * n).order(java.nio.ByteOrder.LITTLE_ENDIAN);
          for (int r = 0; r < n; r++) {
            int first = expert * h * h + (down ? r * h + numa * slice : (numa * slice + r) * h);
            scales.putFloat(rule.quantize(Arrays.copyOfRange(experts, first, first + k), k, row));
            System.arraycopy(row, 0, codes, r * k, k);
          }
          byte[] packed = new byte[(int) layout.bytes(n, k)];
          layout.pack(segment(codes), 0, k, n, k, segment(packed), 0);
          String prefix =
              "kt/tree/%s_tp2/_layer_3/_numa_%d/%s_%s_%d_"
                  .formatted(
                      name, numa, name.toUpperCase(java.util.Locale.ROOT), projection, expert);
          Path quant = Checkout.golden(prefix + packed.length + "Byte_quant_.kt");
          assertThat(packed).as(prefix).isEqualTo(Files.readAllBytes(quant));
          Path scale = Checkout.golden(prefix + 4 * n + "Byte_scale_.kt");
          assertThat(scales.array()).as(prefix).isEqualTo(Files.readAllBytes(scale));
          files += 2;
        }
      }
    }
    assertThat(files).isEqualTo(24);
  }

  @ParameterizedTest
  @EnumSource(AmxLayout.class)
  void everyWeightHasItsOwnPlaceAndComesBack(AmxLayout layout) {
    int n = 2 * layout.rowBlock() + 32;
    int k = 3584 + layout.colStep();
    int guard = 5;
    int stride = k + 3;
    byte[] codes = new byte[guard + n * stride];
    Random random = new Random(7);
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) (random.nextInt(2 * layout.largest() + 1) - layout.largest());
    }
    byte[] packed = new byte[(int) layout.bytes(n, k) + 2 * guard];
    Arrays.fill(packed, (byte) 0x55);
    layout.pack(segment(codes), guard, stride, n, k, segment(packed), guard);
    assertThat(Arrays.copyOf(packed, guard)).containsOnly(0x55);
    assertThat(Arrays.copyOfRange(packed, packed.length - guard, packed.length)).containsOnly(0x55);
    for (int r = 0; r < n; r += 7) {
      for (int c = 0; c < k; c++) {
        int at = guard + (int) layout.offset(n, k, r, c);
        int shift = layout == AmxLayout.INT8 ? 0 : layout.isHigh(c) ? 0 : 4;
        int code = (byte) (packed[at] << shift) >> (layout == AmxLayout.INT8 ? 0 : 4);
        assertThat(code).isEqualTo(codes[guard + r * stride + c]);
      }
    }
    byte[] back = new byte[codes.length];
    layout.unpack(segment(packed), guard, n, k, segment(back), guard, stride);
    for (int r = 0; r < n; r++) {
      int at = guard + r * stride;
      assertThat(Arrays.equals(codes, at, at + k, back, at, at + k)).isTrue();
    }
  }

  @Test
  void refusesWhatTheKernelsMultiplyWrongly() {
    byte[] codes = new byte[32 * 128];
    codes[200] = -128;
    assertThatThrownBy(() -> pack(AmxLayout.INT8, codes, 32, 128))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("[-127, 127]");
    codes[200] = -8;
    pack(AmxLayout.INT8, codes, 32, 128);
    assertThatThrownBy(() -> pack(AmxLayout.INT4, codes, 32, 128))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("[-7, 7]");
  }

  @Test
  void namesEveryMisfit() {
    assertThat(AmxLayout.INT8.misfits(32, 64)).isEmpty();
    assertThat(AmxLayout.INT4.misfits(320, 320))
        .containsExactly("320 columns, INT4 takes multiples of 128");
    assertThat(AmxLayout.INT8.misfits(16, 32)).hasSize(2);
  }

  private static void pack(AmxLayout layout, byte[] codes, int n, int k) {
    layout.pack(segment(codes), 0, k, n, k, segment(new byte[n * k]), 0);
  }

  private static MemorySegment segment(byte[] bytes) {
    return MemorySegment.ofArray(bytes);
  }
}
