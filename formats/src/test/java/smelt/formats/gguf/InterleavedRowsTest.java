package smelt.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.formats.Checkout;

class InterleavedRowsTest {

  private static final int ROWS = 16;
  private static final int COLS = 512;

  private static byte[] golden(String file) throws IOException {
    Path folder = Checkout.golden("kt");
    return Files.readAllBytes(folder.resolve("ik").resolve(file));
  }

  private static byte[] interleave(GgmlType type, byte[] plain, int rows, int cols, int guard) {
    byte[] in = new byte[plain.length + guard];
    System.arraycopy(plain, 0, in, guard, plain.length);
    byte[] out = new byte[plain.length + 2 * guard];
    MemorySegment to = MemorySegment.ofArray(out).fill((byte) 0x5A);
    InterleavedRows.interleave(type, MemorySegment.ofArray(in), guard, rows, cols, to, guard);
    for (int i = 0; i < guard; i++) {
      assertThat(out[i]).isEqualTo((byte) 0x5A);
      assertThat(out[out.length - 1 - i]).isEqualTo((byte) 0x5A);
    }
    return java.util.Arrays.copyOfRange(out, guard, out.length - guard);
  }

  /// 16 rows of 512 random codes, as ik_llama.cpp's own code interleaves them.
  @ParameterizedTest
  @EnumSource(
      value = GgmlType.class,
      names = {"Q8_0_R8", "Q4_0_R8", "Q4_K_R4", "Q6_K_R4"})
  void interleavesAsTheEngineDoesAndBack(GgmlType type) throws IOException {
    String name = type.name().toLowerCase(Locale.ROOT);
    byte[] plain = golden(type.plain().name().toLowerCase(Locale.ROOT) + ".in");
    byte[] expected = golden(name + ".out");
    assertThat(plain).hasSize(Math.toIntExact(type.bytes((long) ROWS * COLS)));
    assertThat(interleave(type, plain, ROWS, COLS, 3)).isEqualTo(expected);
    byte[] back = new byte[plain.length];
    InterleavedRows.separate(
        type, MemorySegment.ofArray(expected), 0, ROWS, COLS, MemorySegment.ofArray(back), 0);
    assertThat(back).isEqualTo(plain);
  }

  /// Whatever the bits are, each of them comes back to its place.
  @ParameterizedTest
  @EnumSource(
      value = GgmlType.class,
      names = {"Q8_0_R8", "Q4_0_R8", "Q4_K_R4", "Q6_K_R4"})
  void losesNoBit(GgmlType type) {
    Random random = new Random(7);
    int rows = 3 * type.interleavedRows();
    byte[] plain = new byte[Math.toIntExact(type.bytes(rows * 768L))];
    random.nextBytes(plain);
    byte[] interleaved = interleave(type, plain, rows, 768, 1);
    assertThat(interleaved).isNotEqualTo(plain);
    byte[] back = new byte[plain.length];
    InterleavedRows.separate(
        type, MemorySegment.ofArray(interleaved), 0, rows, 768, MemorySegment.ofArray(back), 0);
    assertThat(back).isEqualTo(plain);
  }

  @Test
  void refusesRowsThatAreNoGroups() {
    MemorySegment any = MemorySegment.ofArray(new byte[4096]);
    assertThatThrownBy(() -> InterleavedRows.interleave(GgmlType.Q8_0_R8, any, 0, 12, 32, any, 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("12 rows");
    assertThatThrownBy(() -> InterleavedRows.separate(GgmlType.Q8_0, any, 0, 8, 32, any, 0))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(
            () -> new GgufTensor("x", GgmlType.Q8_0_R8, List.of(32L, 12L, 2L), 0).bytes())
        .isInstanceOf(ArithmeticException.class)
        .hasMessageContaining("12 rows");
  }

  /// In a group the scales come first, one of each row: where they are not finite is found.
  @ParameterizedTest
  @EnumSource(
      value = GgmlType.class,
      names = {"Q8_0_R8", "Q4_0_R8", "Q4_K_R4", "Q6_K_R4"})
  void findsEachScaleThatIsNotFinite(GgmlType type) {
    GgmlType blocks = type.plain();
    int rows = type.interleavedRows();
    List<Integer> offsets =
        switch (blocks) {
          case Q6_K -> List.of(208);
          case Q4_K -> List.of(0, 2);
          default -> List.of(0);
        };
    for (int row = 0; row < rows; row++) {
      for (int offset : offsets) {
        byte[] plain = new byte[2 * type.groupBytes()];
        int at = row * 2 * blocks.blockBytes() + blocks.blockBytes() + offset;
        plain[at + 1] = 0x7C;
        byte[] group = interleave(type, plain, rows, 2 * blocks.blockElements(), 0);
        assertThat(BlockScales.firstNonFinite(type, MemorySegment.ofArray(group))).hasValue(1);
      }
    }
    byte[] sound = new byte[type.groupBytes()];
    assertThat(BlockScales.firstNonFinite(type, MemorySegment.ofArray(sound))).isEmpty();
  }
}
