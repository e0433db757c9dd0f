package smelt.calibrate.model;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.function.Function;
import smelt.calibrate.math.Matrix;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;
import smelt.formats.ggml.BlockKernels;
import smelt.formats.ggml.BlockQuantizer;

/// Weights of a model as if they had been converted: while one streams by, its numbers are written
/// in another encoding, as a conversion would write them, and the product reads that. So what a
/// scheme costs can be measured without writing it.
///
/// It works in memory of its own, for one model at a time.
public final class WeightRounding {

  /// All weights as they are.
  public static final WeightRounding NONE =
      new WeightRounding(_ -> Optional.empty(), MemorySegment.NULL);

  private static final Encoding F32 = new Encoding.Plain(ElementType.F32);

  /// What is taken from the memory at once may lose so much to alignment.
  private static final long SLACK = 8 * Scratch.ALIGNMENT;

  private static final BlockKernels BLOCKS = BlockKernels.choose("auto");

  private final Function<Weight, Optional<Encoding>> encodings;
  private final MemorySegment memory;

  /// @param encodings what a weight is written in; empty: nothing, it stays as it is
  /// @param memory at least `leastBytes` for each weight that is rounded, from a shared arena; with
  ///   more, more rows go through at a time
  public WeightRounding(Function<Weight, Optional<Encoding>> encodings, MemorySegment memory) {
    this.encodings = encodings;
    this.memory = memory;
  }

  /// Whether a weight can be rounded so.
  public static boolean supports(Weight weight, Encoding encoding) {
    boolean written =
        encoding instanceof Encoding.Ggml(var type)
            ? BlockQuantizer.canWrite(type) && WeightStream.cols(weight) % type.blockElements() == 0
            : Transcoder.supports(F32, encoding);
    return written && Transcoder.supports(weight.encoding(), F32);
  }

  /// Memory without which a weight cannot be rounded.
  public static long leastBytes(Weight weight, Encoding encoding) {
    long cols = WeightStream.cols(weight);
    return step(encoding) * bytesPerRow(encoding, cols) + fixed(weight, encoding, cols);
  }

  /// The encoding that a weight is rounded through.
  Optional<Encoding> of(Weight weight) {
    return encodings.apply(weight);
  }

  /// Reads rows of a weight as [WeightStream#read] does, but each tile in another encoding.
  ///
  /// @param first where the encoding has blocks of rows, the first of one
  void read(
      Weight weight,
      Encoding to,
      long first,
      long count,
      WeightStream stream,
      Kernels codec,
      WeightStream.TileUse use)
      throws IOException {
    long step = step(to);
    if (first % step != 0) {
      throw new IllegalArgumentException("row " + first + " of blocks of " + step);
    }
    long cols = WeightStream.cols(weight);
    long fit = (memory.byteSize() - fixed(weight, to, cols)) / bytesPerRow(to, cols);
    long atOnce = fit / step * step;
    if (atOnce < 1) {
      throw new IllegalArgumentException(
          memory.byteSize()
              + " bytes to round "
              + weight.name()
              + ", needs "
              + leastBytes(weight, to));
    }
    Scratch scratch = new Scratch(memory);
    for (long row = 0; row < count; row += atOnce) {
      long rows = Math.min(atOnce, count - row);
      long mark = scratch.mark();
      Matrix numbers = scratch.matrix(rows, cols);
      stream.decode(codec, weight, first + row, numbers, scratch);
      use.use(encode(numbers, to, codec, scratch), row);
      scratch.release(mark);
    }
  }

  private static Tile encode(Matrix numbers, Encoding to, Kernels codec, Scratch scratch) {
    long rows = numbers.rows();
    long cols = numbers.cols();
    MemorySegment codes = scratch.bytes(to.codeBytes(rows * cols));
    if (to instanceof Encoding.Ggml(var type)) {
      BlockQuantizer.quantize(
          BLOCKS,
          type,
          numbers.data(),
          numbers.offset(),
          rows,
          cols,
          MemorySegment.NULL,
          0,
          codes,
          0);
      return new Tile(to, codes, 0, MemorySegment.NULL, 0, rows, cols);
    }
    MemorySegment scales = scratch.bytes(scaleBytes(to, rows, cols));
    Tile tile = new Tile(to, codes, 0, scales, 0, rows, cols);
    Tile from = Tile.plain(ElementType.F32, numbers.data(), numbers.offset(), rows, cols);
    long mark = scratch.mark();
    MemorySegment work = scratch.bytes(Transcoder.scratchBytes(F32, to, cols));
    Transcoder.transcode(codec, from, tile, work);
    scratch.release(mark);
    return tile;
  }

  /// Rows that share scales.
  private static long step(Encoding encoding) {
    return encoding instanceof Encoding.Block block ? block.blockRows() : 1;
  }

  private static long scaleBytes(Encoding encoding, long rows, long cols) {
    return encoding
        .scaleShape(Shape.of(rows, cols))
        .map(shape -> shape.bytes(encoding.scales().orElseThrow()))
        .orElse(0L);
  }

  private static long bytesPerRow(Encoding encoding, long cols) {
    return Matrix.bytes(1, cols) + encoding.codeBytes(cols) + scaleBytes(encoding, 1, cols);
  }

  private static long fixed(Weight weight, Encoding encoding, long cols) {
    long reading = Transcoder.scratchBytes(weight.encoding(), F32, cols);
    long writing =
        encoding instanceof Encoding.Ggml ? 0 : Transcoder.scratchBytes(F32, encoding, cols);
    return Math.max(reading, writing) + SLACK;
  }
}
