package smelt.verify;

import static java.nio.ByteOrder.LITTLE_ENDIAN;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import smelt.formats.checkpoint.Projection;
import smelt.formats.experts.ExpertFormat;
import smelt.formats.experts.ExpertTensor.Content;
import smelt.formats.files.Sha256;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// Reads codes and scales of packed experts, a slice at a time for each thread, and remembers only
/// what is wrong and the digests of `.kt` files.
final class KtScan {

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE_ENDIAN);
  private static final ValueLayout.OfInt I32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(LITTLE_ENDIAN);
  private static final int SUM_FACTOR = 128;

  enum Kind {
    SCALE,
    LEAST_CODE,
    COLUMN_SUM
  }

  /// @param count how many values of a slice are wrong
  /// @param first the first of them, in words
  record Wrong(Kind kind, KtFacts.Slice slice, long count, String first) {}

  /// @param sha256 of `.kt` files, by name
  record Result(List<Wrong> wrong, Map<String, String> sha256, long bytesRead) {}

  private record One(List<Wrong> wrong, String sha256) {}

  private KtScan() {}

  static Result run(ModelSource source, KtFacts facts, int threads) throws IOException {
    List<KtFacts.Slice> slices = facts.sorted();
    List<Wrong> wrong = new ArrayList<>();
    Map<String, String> sha256 = new HashMap<>();
    long bytes = 0;
    try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
      List<Future<One>> futures = new ArrayList<>();
      slices.forEach(slice -> futures.add(pool.submit(() -> scan(source, facts, slice))));
      for (int i = 0; i < slices.size(); i++) {
        One one = get(futures.get(i));
        wrong.addAll(one.wrong());
        if (facts.root().isPresent()) {
          sha256.put(slices.get(i).file(), one.sha256());
        }
        bytes += slices.get(i).bytes();
      }
    }
    return new Result(List.copyOf(wrong), sha256, bytes);
  }

  private static One get(Future<One> future) throws IOException {
    try {
      return future.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while reading", e);
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case IOException io -> throw io;
        case RuntimeException runtime -> throw runtime;
        case Error error -> throw error;
        case null, default -> throw new IllegalStateException(e);
      }
    }
  }

  private static One scan(ModelSource source, KtFacts facts, KtFacts.Slice slice)
      throws IOException {
    byte[] bytes = new byte[Math.toIntExact(slice.bytes())];
    try (ByteSource file = source.open(slice.file())) {
      file.read(slice.offset(), MemorySegment.ofArray(bytes));
      file.checkUnchanged();
    }
    List<Wrong> wrong = new ArrayList<>();
    if (slice.tensor().content() == Content.SCALES) {
      scales(slice, MemorySegment.ofArray(bytes), wrong);
    } else if (facts.sizes().isPresent()
        && facts.sizes().get().bytes(slice.tensor()) == bytes.length) {
      codes(facts.sizes().get(), slice, bytes, wrong);
    }
    return new One(wrong, facts.root().isPresent() ? Sha256.hex(bytes) : "");
  }

  private static void scales(KtFacts.Slice slice, MemorySegment bytes, List<Wrong> wrong) {
    long count = 0;
    String first = "";
    for (long row = 0; row < bytes.byteSize() / Float.BYTES; row++) {
      float scale = bytes.get(F32, row * Float.BYTES);
      if (!(scale >= 0 && scale < Float.POSITIVE_INFINITY)) {
        first = count == 0 ? scale + " for row " + row : first;
        count++;
      }
    }
    add(wrong, Kind.SCALE, slice, count, first);
  }

  private static void codes(
      KtFacts.Sizes sizes, KtFacts.Slice slice, byte[] bytes, List<Wrong> wrong) {
    Projection projection = slice.tensor().projection();
    int cols = Math.toIntExact(sizes.cols(projection));
    int panel = sizes.format().rowBlock(projection);
    boolean sums = sizes.format() == ExpertFormat.MOE_INT8;
    long count = 0;
    String first = "";
    for (int i = 0; i < bytes.length; i++) {
      boolean isSum = sums && i % (panel * (cols + Integer.BYTES)) >= panel * cols;
      if (!isSum && isLeast(sizes.format(), bytes[i])) {
        first = count == 0 ? "at byte " + i : first;
        count++;
      }
    }
    add(wrong, Kind.LEAST_CODE, slice, count, first);
    if (sums) {
      sums(slice, bytes, panel, cols, wrong);
    }
  }

  private static boolean isLeast(ExpertFormat format, byte code) {
    return switch (format) {
      case AMXINT8, MOE_INT8 -> code == Byte.MIN_VALUE;
      case AMXINT4 -> (code & 0x0F) == 0x08 || (code & 0xF0) == 0x80;
    };
  }

  /// After the codes of a panel stand 128 times the sums of its rows.
  private static void sums(
      KtFacts.Slice slice, byte[] bytes, int panel, int cols, List<Wrong> wrong) {
    long count = 0;
    String first = "";
    int[] found = new int[panel];
    for (int start = 0; start < bytes.length; start += panel * (cols + Integer.BYTES)) {
      java.util.Arrays.fill(found, 0);
      for (int i = 0; i < panel * cols; i++) {
        found[i % (4 * panel) / 4] += bytes[start + i];
      }
      for (int j = 0; j < panel; j++) {
        int at = start + panel * cols + j * Integer.BYTES;
        int stored = MemorySegment.ofArray(bytes).get(I32, at);
        if (stored != SUM_FACTOR * found[j]) {
          String is = stored + " instead of " + SUM_FACTOR * found[j] + " at byte " + at;
          first = count == 0 ? is : first;
          count++;
        }
      }
    }
    add(wrong, Kind.COLUMN_SUM, slice, count, first);
  }

  private static void add(
      List<Wrong> wrong, Kind kind, KtFacts.Slice slice, long count, String first) {
    if (count > 0) {
      wrong.add(new Wrong(kind, slice, count, first));
    }
  }
}
