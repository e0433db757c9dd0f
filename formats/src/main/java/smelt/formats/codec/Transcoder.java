package smelt.formats.codec;

import static smelt.formats.codec.Layouts.F32;

import java.lang.foreign.MemorySegment;
import smelt.formats.ElementType;
import smelt.formats.UnsupportedException;

/// Writes a tile of one encoding as another. A pure stage: what it gives depends on the values of
/// the tile alone, neither on the kernels nor on how a tensor is cut into tiles.
///
/// | from | to |
/// |---|---|
/// | BF16, F16, F32 | BF16, F32 |
/// | E4M3, E5M2 or INT8 in blocks or channels, scales F32, BF16 or F16 | E4M3 or INT8 in blocks or channels, scales F32; UE8M0 for E4M3 blocks |
/// | blocks of GGUF | |
/// | INT4 in groups, scales F32, BF16 or F16 | INT4 in groups of codes from -7, scales BF16 |
///
/// Every pair of these works. Values go from the source through F32 to the target and are rounded
/// nowhere else. `ScaleRule` says how new scales are chosen. Where the target has the source's type
/// and blocks and may hold its scales, codes and scales are copied as they are, not rounded again.
/// Equal encodings of any other kind are copied too. Between INT4 of equal groups and scales, of
/// which only the target may not hold -8, each group without that code is copied, and each other
/// one rounded anew.
///
/// Weights that are NaN or infinite, or become infinite in the target, and scales that are not
/// positive and finite (or not powers of two, for UE8M0) are refused with a `NonFiniteException`,
/// copied ones too; what has been written by then is void.
public final class Transcoder {

  private final Tile from;
  private final Tile to;
  private final Kernels kernels;
  private final MemorySegment scratch;
  private final Scratch layout;
  private final Int4Scales int4Scales;
  private final TileReader reader;
  private final TileCheck check;

  /// What the scratch memory holds: a row of the source's scales at 0, then the largest magnitude
  /// of each block of a panel at `maxima`, that of each column at `columns`, then F32 values at
  /// `values`.
  ///
  /// @param panelCols columns that are encoded together
  private record Scratch(long panelCols, long maxima, long columns, long values, long bytes) {

    /// Columns of a panel of BF16, and of F32. With 128 rows either is half a megabyte: what the
    /// search for the largest magnitudes has touched is still in the second-level cache when it is
    /// encoded.
    private static final int BF16_COLUMNS = 2048;

    private static final int F32_COLUMNS = 1024;

    static Scratch of(Encoding from, Encoding to, long cols) {
      long maxima = TileReader.scratchBytes(from, cols);
      return switch (to) {
        case Encoding.Plain _, Encoding.Ggml _ -> of(cols, maxima, 1, 0, 0);
        case Encoding.Channel _ -> of(cols, maxima, 1, 0, isInPlace(from) ? 0 : cols);
        case Encoding.Block b -> {
          int atOnce = from.type() == ElementType.BF16 ? BF16_COLUMNS : F32_COLUMNS;
          long blocks = Math.min(Math.max(1, atOnce / b.blockCols()), blocks(cols, b));
          long panel = Math.min(cols, blocks * b.blockCols());
          long values = isInPlace(from) ? 0 : Math.multiplyExact(b.blockRows(), panel);
          yield of(panel, maxima, blocks, panel, values);
        }
        case Encoding.Int4 i -> {
          long panel = Math.min(cols, i.group() * Math.max(1L, TileCheck.PIECE / i.group()));
          yield of(panel, maxima, panel / i.group(), 0, panel);
        }
      };
    }

    private static long blocks(long cols, Encoding.Block b) {
      return Math.ceilDiv(cols, (long) b.blockCols());
    }

    private static Scratch of(long panelCols, long maxima, long blocks, long columns, long values) {
      long columnsAt = maxima + Float.BYTES * Math.max(1, blocks);
      long valuesAt = columnsAt + Float.BYTES * columns;
      long bytes = Math.multiplyExact((long) Float.BYTES, Math.max(TileCheck.PIECE, values));
      return new Scratch(panelCols, maxima, columnsAt, valuesAt, Math.addExact(valuesAt, bytes));
    }
  }

  private Transcoder(
      Kernels kernels, Tile from, Tile to, Int4Scales int4Scales, MemorySegment scratch) {
    this.kernels = kernels;
    this.int4Scales = int4Scales;
    this.from = from;
    this.to = to;
    this.scratch = scratch;
    this.layout = Scratch.of(from.encoding(), to.encoding(), from.cols());
    if (scratch.byteSize() < layout.bytes()) {
      throw new IllegalArgumentException(
          "scratch of " + scratch.byteSize() + " bytes, needs " + layout.bytes());
    }
    this.reader = new TileReader(kernels, from, scratch, 0);
    this.check = new TileCheck(kernels, from, reader, scratch, layout.maxima(), layout.values());
  }

  /// Whether a tile of `from` can be written as `to`.
  public static boolean supports(Encoding from, Encoding to) {
    return copies(from, to) || (TileReader.canRead(from) && canWrite(to));
  }

  /// Bytes of scratch memory that `transcode` needs for tiles of `cols` columns and any number of
  /// rows.
  public static long scratchBytes(Encoding from, Encoding to, long cols) {
    return Scratch.of(from, to, cols).bytes();
  }

  /// Writes the codes and scales of `to` from those of `from`.
  ///
  /// @param from read only; must not overlap `to`
  /// @param to where to write, with the encoding to write; as many rows and columns as `from`
  /// @param scratch at least `scratchBytes`; nothing in it matters before or after
  /// @throws NonFiniteException as the class comment says
  /// @throws UnsupportedException unless `supports(from.encoding(), to.encoding())`
  public static void transcode(Kernels kernels, Tile from, Tile to, MemorySegment scratch) {
    transcode(kernels, from, to, Int4Scales.LEAST_ERROR, scratch);
  }

  /// The same with a choice of how INT4 gets its scales.
  public static void transcode(
      Kernels kernels, Tile from, Tile to, Int4Scales int4Scales, MemorySegment scratch) {
    if (from.rows() != to.rows() || from.cols() != to.cols()) {
      throw new IllegalArgumentException(
          "tile of " + from.rows() + " x " + from.cols() + " to " + to.rows() + " x " + to.cols());
    }
    if (!supports(from.encoding(), to.encoding())) {
      throw new UnsupportedException(
          "writing " + from.encoding() + " as " + to.encoding(),
          "BF16 and F32, E4M3 and INT8 with F32 scales, and INT4 with BF16 scales, can be written");
    }
    new Transcoder(kernels, from, to, int4Scales, scratch).run();
  }

  /// Refuses what `transcode` to an equal encoding would refuse, for a caller that takes the bytes
  /// from where they are.
  ///
  /// @param scratch at least `scratchBytes` of the encoding to itself
  /// @throws NonFiniteException as the class comment says
  public static void check(Kernels kernels, Tile tile, MemorySegment scratch) {
    new Transcoder(kernels, tile, tile, Int4Scales.LEAST_ERROR, scratch).checkCopy();
  }

  private void checkCopy() {
    if (TileReader.canRead(from.encoding())) {
      check.scales(scaleFormat(to.encoding()));
    }
    check.codes();
  }

  private void run() {
    if (copies(from.encoding(), to.encoding())) {
      checkCopy();
      copy();
      return;
    }
    if (TileReader.canRead(from.encoding())) {
      check.scales(ScaleFormat.FLOAT);
    }
    switch (to.encoding()) {
      case Encoding.Plain(ElementType type) -> writePlain(type);
      case Encoding.Channel(ElementType type, _) -> writeChannels(type);
      case Encoding.Block block -> writeBlocks(block);
      case Encoding.Int4 int4 -> writeInt4(int4);
      case Encoding.Ggml _ ->
          throw new IllegalStateException(to.encoding() + " is not written here");
    }
  }

  private void copy() {
    long bytes = from.encoding().codeBytes(Math.multiplyExact(from.rows(), from.cols()));
    MemorySegment.copy(from.codes(), from.codesOffset(), to.codes(), to.codesOffset(), bytes);
    if (from.encoding().equals(to.encoding())) {
      long scaleBytes = from.scaleBytes();
      MemorySegment.copy(
          from.scales(), from.scalesOffset(), to.scales(), to.scalesOffset(), scaleBytes);
    } else {
      for (long i = 0; i < to.scaleCount(); i++) {
        to.scales().set(F32, to.scalesOffset() + Float.BYTES * i, reader.scale(i));
      }
    }
  }

  private void writePlain(ElementType type) {
    boolean direct = type == ElementType.BF16 && from.encoding().type() == ElementType.F8_E4M3;
    int width = type.bits() / Byte.SIZE;
    for (long row = 0; row < from.rows(); row++) {
      for (long col = 0; col < from.cols(); col += TileCheck.PIECE) {
        long n = Math.min(TileCheck.PIECE, from.cols() - col);
        long out = to.codesOffset() + (row * to.cols() + col) * width;
        if (direct) {
          reader.readE4m3AsBf16(row, col, n, to.codes(), out);
          check.e4m3AsBf16(row, col, n, to.codes(), out);
        } else {
          writePiece(type, row, col, n, out);
          check.result(type, to.codes(), out, n);
        }
      }
    }
  }

  private void writePiece(ElementType type, long row, long col, long n, long out) {
    if (type == ElementType.F32) {
      reader.read(row, col, n, to.codes(), out);
    } else {
      reader.read(row, col, n, scratch, layout.values());
      kernels.encodeBf16(scratch, layout.values(), to.codes(), out, n);
    }
  }

  private void writeChannels(ElementType type) {
    ScaleRule rule = ScaleRule.of(type, ScaleFormat.FLOAT);
    long cols = from.cols();
    for (long row = 0; row < from.rows(); row++) {
      Panel panel = panel(row, 1, 0, cols);
      long scale = to.scalesOffset() + Float.BYTES * row;
      panel.absmaxOfRow(scratch, layout.maxima());
      writeScales(rule, 1, scale);
      long out = to.codesOffset() + row * cols;
      panel.encode(0, type, to.scales(), scale, Math.max(1, cols), to.codes(), out);
    }
  }

  private void writeBlocks(Encoding.Block block) {
    ScaleRule rule = ScaleRule.of(block.type(), block.scaleFormat());
    for (long row = 0; row < from.rows(); row += block.blockRows()) {
      for (long col = 0; col < from.cols(); col += layout.panelCols()) {
        long rows = Math.min(block.blockRows(), from.rows() - row);
        long cols = Math.min(layout.panelCols(), from.cols() - col);
        writePanel(block, rule, row, rows, col, cols);
      }
    }
  }

  private void writePanel(
      Encoding.Block block, ScaleRule rule, long row, long rows, long col, long cols) {
    long perRow = Math.ceilDiv(from.cols(), (long) block.blockCols());
    long first = row / block.blockRows() * perRow + col / block.blockCols();
    long scales = to.scalesOffset() + Float.BYTES * first;
    long blocks = Math.ceilDiv(cols, (long) block.blockCols());
    Panel panel = panel(row, rows, col, cols);
    panel.absmax(block.blockCols(), scratch, layout.columns(), layout.maxima());
    writeScales(rule, blocks, scales);
    for (long r = 0; r < rows; r++) {
      long out = to.codesOffset() + (row + r) * from.cols() + col;
      panel.encode(r, block.type(), to.scales(), scales, block.blockCols(), to.codes(), out);
    }
  }

  private void writeInt4(Encoding.Int4 to) {
    boolean sameGroups =
        from.encoding() instanceof Encoding.Int4 f
            && f.group() == to.group()
            && f.scaleType() == to.scaleType();
    for (long row = 0; row < from.rows(); row++) {
      if (sameGroups) {
        for (long col = 0; col < from.cols(); col += to.group()) {
          if (!copyGroup(to, row, col)) {
            writeInt4(to, row, col, to.group());
          }
        }
      } else {
        for (long col = 0; col < from.cols(); col += layout.panelCols()) {
          writeInt4(to, row, col, Math.min(layout.panelCols(), from.cols() - col));
        }
      }
    }
  }

  /// Copies a group unless it holds a code that the target may not hold.
  private boolean copyGroup(Encoding.Int4 encoding, long row, long col) {
    long first = row * from.cols() + col;
    long at = encoding.codeBytes(first);
    long bytes = encoding.codeBytes(encoding.group());
    if (encoding.least() > -8
        && Int4Codes.countLeast(from.codes(), from.codesOffset() + at, bytes) > 0) {
      return false;
    }
    MemorySegment.copy(
        from.codes(), from.codesOffset() + at, to.codes(), to.codesOffset() + at, bytes);
    long scale = encoding.scaleType().bytes(first / encoding.group());
    long width = encoding.scaleType().bytes(1);
    MemorySegment.copy(
        from.scales(), from.scalesOffset() + scale, to.scales(), to.scalesOffset() + scale, width);
    return true;
  }

  private void writeInt4(Encoding.Int4 encoding, long row, long col, long count) {
    int group = encoding.group();
    long groups = count / group;
    reader.read(row, col, count, scratch, layout.values());
    scratch.asSlice(layout.maxima(), Float.BYTES * groups).fill((byte) 0);
    kernels.absmax(scratch, layout.values(), group, scratch, layout.maxima(), count);
    for (long i = 0; i < groups; i++) {
      long at = layout.maxima() + Float.BYTES * i;
      float absmax = check.magnitude(scratch.get(F32, at));
      if (int4Scales == Int4Scales.ABSMAX) {
        scratch.set(F32, at, ScaleRule.INT4.scale(absmax));
      }
    }
    if (int4Scales == Int4Scales.LEAST_ERROR) {
      kernels.searchInt4(scratch, layout.values(), group, scratch, layout.maxima(), count);
    }
    long first = row * from.cols() + col;
    long codes = to.codesOffset() + encoding.codeBytes(first);
    kernels.encodeInt4(
        scratch, layout.values(), scratch, layout.maxima(), group, to.codes(), codes, count);
    long scales = to.scalesOffset() + Short.BYTES * (first / group);
    kernels.encodeBf16(scratch, layout.maxima(), to.scales(), scales, groups);
  }

  private void writeScales(ScaleRule rule, long count, long scalesOffset) {
    for (long i = 0; i < count; i++) {
      float absmax = check.magnitude(scratch.get(F32, layout.maxima() + Float.BYTES * i));
      to.scales().set(F32, scalesOffset + Float.BYTES * i, rule.scale(absmax));
    }
  }

  /// Values of the source to encode: in place, or decoded into scratch memory.
  private Panel panel(long row, long rows, long col, long cols) {
    ElementType type = from.encoding().type();
    if (isInPlace(from.encoding())) {
      long rowBytes = from.cols() * (type.bits() / Byte.SIZE);
      return new Panel(kernels, type, from.codes(), reader.at(row, col), rowBytes, rows, cols);
    }
    long rowBytes = Float.BYTES * cols;
    for (long r = 0; r < rows; r++) {
      reader.read(row + r, col, cols, scratch, layout.values() + r * rowBytes);
    }
    return new Panel(kernels, ElementType.F32, scratch, layout.values(), rowBytes, rows, cols);
  }

  /// Whether `to` can hold the codes and scales of `from` as they are: it is the same, or differs
  /// only in that scales become F32 or need no longer be powers of two. Whether codes and scales of
  /// `from` are those of `to`, perhaps with scales of a wider type: no number is rounded.
  public static boolean copies(Encoding from, Encoding to) {
    if (from.equals(to)) {
      return true;
    }
    return TileReader.canRead(from)
        && switch (to) {
          case Encoding.Plain _, Encoding.Int4 _, Encoding.Ggml _ -> false;
          case Encoding.Channel t ->
              from instanceof Encoding.Channel f
                  && f.type() == t.type()
                  && t.scaleType() == ElementType.F32;
          case Encoding.Block t ->
              from instanceof Encoding.Block f
                  && f.type() == t.type()
                  && f.blockRows() == t.blockRows()
                  && f.blockCols() == t.blockCols()
                  && t.scaleType() == ElementType.F32
                  && (t.scaleFormat() == ScaleFormat.FLOAT || f.scaleFormat() == t.scaleFormat());
        };
  }

  private static ScaleFormat scaleFormat(Encoding encoding) {
    return encoding instanceof Encoding.Block b ? b.scaleFormat() : ScaleFormat.FLOAT;
  }

  private static boolean isInPlace(Encoding from) {
    return from.type() == ElementType.BF16 || from.type() == ElementType.F32;
  }

  private static boolean canWrite(Encoding to) {
    return switch (to) {
      case Encoding.Plain(ElementType type) -> type == ElementType.BF16 || type == ElementType.F32;
      case Encoding.Channel(ElementType type, ElementType scaleType) ->
          isCode(type) && scaleType == ElementType.F32;
      case Encoding.Block b ->
          (b.type() == ElementType.F8_E4M3
                  || (b.type() == ElementType.I8 && b.scaleFormat() == ScaleFormat.FLOAT))
              && b.scaleType() == ElementType.F32;
      case Encoding.Int4 i -> i.scaleType() == ElementType.BF16;
      case Encoding.Ggml _ -> false;
    };
  }

  private static boolean isCode(ElementType type) {
    return type == ElementType.F8_E4M3 || type == ElementType.I8;
  }
}
