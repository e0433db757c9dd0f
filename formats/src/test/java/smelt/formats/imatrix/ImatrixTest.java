package smelt.formats.imatrix;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import smelt.formats.BadInputException;
import smelt.formats.source.MemorySource;

class ImatrixTest {

  private static final String DENSE = "blk.0.attn_q_a.weight";
  private static final String EXPERTS = "blk.1.ffn_up_exps.weight";

  /// Bytes as told, with nothing shared with the writer.
  private static final class Draft {
    private final ByteBuffer out = ByteBuffer.allocate(1 << 12).order(ByteOrder.LITTLE_ENDIAN);

    Draft i32(int... numbers) {
      Arrays.stream(numbers).forEach(out::putInt);
      return this;
    }

    Draft i64(long... numbers) {
      Arrays.stream(numbers).forEach(out::putLong);
      return this;
    }

    Draft floats(float... numbers) {
      for (float number : numbers) {
        out.putFloat(number);
      }
      return this;
    }

    Draft raw(String text) {
      out.put(text.getBytes(UTF_8));
      return this;
    }

    Draft text(String text) {
      return i64(text.length()).raw(text);
    }

    Draft named(String name) {
      return i32(name.length()).raw(name);
    }

    Draft padded() {
      out.position((out.position() + 31) / 32 * 32);
      return this;
    }

    byte[] bytes() {
      return Arrays.copyOf(out.array(), out.position());
    }
  }

  private static Imatrix read(byte[] bytes) throws IOException {
    return Imatrix.read(MemorySource.of("i.dat", bytes));
  }

  private static Draft legacy() {
    return new Draft()
        .i32(2)
        .named(DENSE)
        .i32(2, 3)
        .floats(2, 4, 8)
        .named(EXPERTS)
        .i32(4, 4)
        .floats(4, 8, 12, 16);
  }

  private static byte[] gguf(float count) {
    return new Draft()
        .raw("GGUF")
        .i32(3)
        .i64(4, 4)
        .text("general.type")
        .i32(8)
        .text("imatrix")
        .text("imatrix.datasets")
        .i32(9, 8)
        .i64(1)
        .text("a.txt")
        .text("imatrix.chunk_count")
        .i32(4, 7)
        .text("imatrix.chunk_size")
        .i32(4, 512)
        .text(DENSE + ".in_sum2")
        .i32(1)
        .i64(3)
        .i32(0)
        .i64(0)
        .text(DENSE + ".counts")
        .i32(1)
        .i64(1)
        .i32(0)
        .i64(32)
        .text(EXPERTS + ".in_sum2")
        .i32(2)
        .i64(2, 2)
        .i32(0)
        .i64(64)
        .text(EXPERTS + ".counts")
        .i32(2)
        .i64(1, 2)
        .i32(0)
        .i64(96)
        .padded()
        .floats(2048, 4096, 8192)
        .padded()
        .floats(1024)
        .padded()
        .floats(100, 200, 0, 0)
        .padded()
        .floats(count, 0)
        .padded()
        .bytes();
  }

  private static Imatrix sample() {
    TreeMap<String, ImatrixEntry> entries = new TreeMap<>();
    entries.put(DENSE, new ImatrixEntry(new float[] {2048, 4096, 8192}, new float[] {1024}));
    entries.put(EXPERTS, new ImatrixEntry(new float[] {100, 200, 0, 0}, new float[] {100, 0}));
    return new Imatrix(entries, List.of("a.txt"), 7, 512);
  }

  @Test
  void readsTheNewerKind() throws IOException {
    assertThat(read(gguf(100))).isEqualTo(sample());
  }

  @Test
  void writesTheNewerKindToTheByte() throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    sample().writeGguf(out);
    assertThat(out.toByteArray()).isEqualTo(gguf(100));
  }

  @Test
  void readsTheOlderKindWithAndWithoutItsEnd() throws IOException {
    Imatrix whole = read(legacy().i32(9).named("b.txt").bytes());
    assertThat(whole.chunkCount()).isEqualTo(9);
    assertThat(whole.datasets()).containsExactly("b.txt");
    for (Imatrix matrix : List.of(whole, read(legacy().bytes()))) {
      assertThat(matrix.importance(DENSE, 0, 3)).hasValue(new float[] {1, 2, 4});
      assertThat(matrix.importance(EXPERTS, 1, 2)).hasValue(new float[] {3, 4});
      assertThat(matrix.importance("blk.9.attn_k.weight", 0, 3)).isEmpty();
    }
  }

  @Test
  void writesTheOlderKindAsLlamaDoes() throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    sample().writeLegacy(out);
    byte[] expected =
        new Draft()
            .i32(2)
            .named(DENSE)
            .i32(2, 3)
            .floats(4, 8, 16)
            .named(EXPERTS)
            .i32(1, 4)
            .floats(1, 2, 1, 1)
            .i32(7)
            .named("a.txt")
            .bytes();
    assertThat(out.toByteArray()).isEqualTo(expected);
    assertThat(read(expected).importance(EXPERTS, 1, 2)).hasValue(new float[] {1, 1});
  }

  @Test
  void writesAnOlderFileAsItWas() throws IOException {
    byte[] bytes = legacy().i32(9).named("b.txt").bytes();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    read(bytes).writeLegacy(out);
    assertThat(out.toByteArray()).isEqualTo(bytes);
  }

  @Test
  void leavesOutOfTheOlderKindWhatWasNotSeen() throws IOException {
    TreeMap<String, ImatrixEntry> entries = new TreeMap<>();
    entries.put(DENSE, new ImatrixEntry(new float[] {0}, new float[] {0}));
    entries.put(EXPERTS, new ImatrixEntry(new float[] {5}, new float[] {2}));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    new Imatrix(entries, List.of(), 1, 512).writeLegacy(out);
    assertThat(read(out.toByteArray()).entries()).containsOnlyKeys(EXPERTS);
  }

  @Test
  void countsColumnsOfExpertsThatWereNotSeenAlike() {
    Imatrix matrix = sample();
    assertThat(matrix.importance(DENSE, 0, 3)).hasValue(new float[] {2, 4, 8});
    assertThat(matrix.importance(EXPERTS, 0, 2)).hasValue(new float[] {1, 2});
    assertThat(matrix.importance(EXPERTS, 1, 2)).hasValue(new float[] {1, 1});
    assertThatThrownBy(() -> matrix.importance(EXPERTS, 2, 2))
        .hasMessageContaining("matrix 2 of 2");
    assertThatThrownBy(() -> matrix.importance(DENSE, 0, 2))
        .hasMessageContaining(DENSE)
        .hasMessageContaining("matrices of 2 columns");
  }

  /// Heads of `attn_v_b` share one count.
  @Test
  void sharesOneCountAmongMatrices() {
    ImatrixEntry entry = new ImatrixEntry(new float[] {2, 4, 6, 8}, new float[] {2});
    assertThat(entry.meanSquares(1, 2)).containsExactly(3, 4);
  }

  @Test
  void refusesDamagedFilesOfTheOlderKind() {
    refuses(new byte[0], "the end of the file");
    refuses(new Draft().i32(-1).bytes(), "the number of entries -1");
    refuses(new Draft().i32(1 << 30).floats(1, 2, 3, 4, 5).bytes(), "entries 1073741824");
    refuses(draft(1).i32(0).floats(1, 2, 3, 4).bytes(), "length of a name 0");
    refuses(draft(1).i32(1 << 30).floats(1, 2, 3, 4).bytes(), "length of a name 1073741824");
    refuses(draft(1).named("a").i32(0, 1).floats(1, 2).bytes(), "the calls of a 0");
    refuses(draft(1).named("a").i32(1, 1 << 29).floats(1).bytes(), "values of a 536870912");
    refuses(draft(1).named("a").i32(1, -1).floats(1).bytes(), "values of a -1");
    refuses(draft(1).named("a").i32(1, 1).floats(Float.NaN).bytes(), "sum 0 is NaN");
    refuses(draft(1).named("a").i32(1, 1).floats(-1).bytes(), "sum 0 is -1");
    Draft twice = draft(2).named("a").i32(1, 1).floats(1).named("a").i32(1, 1).floats(1);
    refuses(twice.bytes(), "the name a again");
    refuses(legacy().i32(1).named("b").i32(1).bytes(), "4 bytes more");
    refuses(legacy().i32(1, 1 << 20).bytes(), "length of the name of the text 1048576");
  }

  private static Draft draft(int entries) {
    return new Draft().i32(entries);
  }

  @Test
  void refusesDamagedFilesOfTheNewerKind() {
    refuses(gguf(-1), "count 0 is -1");
    refuses(gguf(Float.POSITIVE_INFINITY), "count 0 is Infinity");
    refuses(
        changed("imatrix.chunk_size", "imatrix.chunk_sizx"), "imatrix.chunk_size: found nothing");
    refuses(changed("imatrix.datasets", "imatrix.dataxets"), "imatrix.datasets: found nothing");
    refuses(changed("general.type", "general.typo"), "general.type: found nothing");
    refuses(changed(EXPERTS + ".counts", EXPERTS + ".kounts"), "no tensor " + EXPERTS + ".counts");
    refuses(changed(DENSE + ".in_sum2", DENSE + ".in_mum2"), "a tensor of this name");
  }

  private static byte[] changed(String from, String to) {
    String text = new String(gguf(100), ISO_8859_1);
    return text.replace(from, to).getBytes(ISO_8859_1);
  }

  private static void refuses(byte[] bytes, String found) {
    assertThatThrownBy(() -> read(bytes))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(found)
        .hasMessageContaining("i.dat, ");
  }

  /// Every cut and every changed byte gives an answer or a refusal, and nothing else.
  @Test
  void survivesWhateverIsDoneToTheBytes() {
    Random random = new Random(71);
    for (byte[] whole : List.of(gguf(100), legacy().i32(9).named("b.txt").bytes())) {
      for (int length = 0; length < whole.length; length++) {
        readable(Arrays.copyOf(whole, length));
        byte[] changed = whole.clone();
        changed[length] = (byte) random.nextInt(256);
        readable(changed);
      }
    }
  }

  private static void readable(byte[] bytes) {
    try {
      assertThat(read(bytes).entries()).isNotNull();
    } catch (BadInputException e) {
      assertThat(e.problems()).isNotEmpty();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
