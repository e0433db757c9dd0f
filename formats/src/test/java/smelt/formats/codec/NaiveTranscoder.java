package smelt.formats.codec;

import static smelt.formats.ElementType.BF16;
import static smelt.formats.ElementType.F32;
import static smelt.formats.ElementType.I8;

import java.lang.foreign.MemorySegment;
import smelt.formats.ElementType;

/// What `Transcoder` must give, written one value at a time over the whole tile, with the oracle.
final class NaiveTranscoder {

  private NaiveTranscoder() {}

  /// Copies when the codes can stay as they are.
  static boolean copies(Tile from, Tile to) {
    Encoding f = from.encoding();
    Encoding t = to.encoding();
    boolean blocks =
        f instanceof Encoding.Block a
            && t instanceof Encoding.Block b
            && a.type() == b.type()
            && a.blockRows() == b.blockRows()
            && a.blockCols() == b.blockCols()
            && (a.scaleFormat() == b.scaleFormat() || b.scaleFormat() == ScaleFormat.FLOAT);
    boolean channels =
        f instanceof Encoding.Channel a && t instanceof Encoding.Channel b && a.type() == b.type();
    if (!f.equals(t) && !blocks && !channels) {
      return false;
    }
    to.codes().copyFrom(from.codes());
    for (long i = 0; i < from.scaleCount(); i++) {
      TestTiles.setScale(to, i, TestTiles.scale(from, i));
    }
    return true;
  }

  static void transcode(Tile from, Tile to) {
    if (to.encoding() instanceof Encoding.Plain(ElementType type)) {
      for (long i = 0; i < from.rows() * from.cols(); i++) {
        float x = value(from, i / from.cols(), i % from.cols());
        if (type == F32) {
          to.codes().set(Layouts.F32, to.codesOffset() + 4 * i, x);
        } else {
          to.codes().set(Layouts.U16, to.codesOffset() + 2 * i, (short) Oracle.encodeBf16(x));
        }
      }
      return;
    }
    float[] maxima = new float[(int) to.scaleCount()];
    for (long row = 0; row < to.rows(); row++) {
      for (long col = 0; col < to.cols(); col++) {
        int s = (int) scaleIndex(to, row, col);
        maxima[s] = Math.max(maxima[s], Math.abs(value(from, row, col)));
      }
    }
    for (int s = 0; s < maxima.length; s++) {
      TestTiles.setScale(to, s, scale(to.encoding(), maxima[s]));
    }
    for (long row = 0; row < to.rows(); row++) {
      for (long col = 0; col < to.cols(); col++) {
        float x = value(from, row, col);
        float scale = TestTiles.scale(to, scaleIndex(to, row, col));
        int code =
            to.encoding().type() == I8 ? Oracle.encodeInt8(x, scale) : Oracle.encodeE4m3(x, scale);
        to.codes().set(Layouts.U8, to.codesOffset() + row * to.cols() + col, (byte) code);
      }
    }
  }

  private static float scale(Encoding encoding, float absmax) {
    if (absmax == 0) {
      return 1;
    }
    if (encoding.type() == I8) {
      return absmax / 127f;
    }
    if (encoding instanceof Encoding.Block b && b.scaleFormat() == ScaleFormat.UE8M0) {
      double power = 1;
      while (448 * power < absmax) {
        power *= 2;
      }
      while (448 * power / 2 >= absmax) {
        power /= 2;
      }
      return (float) power;
    }
    return absmax / 448f;
  }

  private static long scaleIndex(Tile tile, long row, long col) {
    return switch (tile.encoding()) {
      case Encoding.Plain _, Encoding.Ggml _ -> throw new IllegalArgumentException("no scales");
      case Encoding.Channel _ -> row;
      case Encoding.Block b ->
          row / b.blockRows() * Math.ceilDiv(tile.cols(), (long) b.blockCols())
              + col / b.blockCols();
      case Encoding.Int4 i -> (row * tile.cols() + col) / i.group();
    };
  }

  static float value(Tile tile, long row, long col) {
    long i = row * tile.cols() + col;
    ElementType type = tile.encoding().type();
    MemorySegment codes = tile.codes();
    if (tile.encoding() instanceof Encoding.Plain) {
      return type == F32
          ? codes.get(Layouts.F32, tile.codesOffset() + 4 * i)
          : (float) sixteenBits(type, codes.get(Layouts.U16, tile.codesOffset() + 2 * i) & 0xFFFF);
    }
    float scale = TestTiles.scale(tile, scaleIndex(tile, row, col));
    if (tile.encoding() instanceof Encoding.Int4) {
      int word = codes.get(Layouts.U32, tile.codesOffset() + i / 8 * 4);
      return (float) ((double) (word >>> (4 * (i % 8)) & 15) - 8) * scale;
    }
    byte code = codes.get(Layouts.U8, tile.codesOffset() + i);
    double decoded =
        switch (type) {
          case F8_E4M3 -> Oracle.e4m3(code & 0xFF);
          case F8_E5M2 -> Oracle.e5m2(code & 0xFF);
          default -> code;
        };
    return (float) (decoded * scale);
  }

  private static double sixteenBits(ElementType type, int code) {
    return type == BF16 ? Oracle.bf16(code) : Oracle.f16(code);
  }
}
