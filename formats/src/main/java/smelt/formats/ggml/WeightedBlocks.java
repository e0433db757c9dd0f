package smelt.formats.ggml;

import static smelt.formats.ggml.Layouts.F32;
import static smelt.formats.ggml.Layouts.U16;

import java.lang.foreign.MemorySegment;
import smelt.formats.gguf.GgmlType;

/// The layouts of `RoundedBlock` with codes that are searched for, as elements count for more or
/// less: by their importance times `sqrt(s + x^2)`, with `s` the mean square of the row.
final class WeightedBlocks implements RowQuantizer {

  private final GgmlType type;
  private final float[] importance;
  private final float[] x;
  private final float[] w;
  private final byte[] codes;

  WeightedBlocks(GgmlType type, float[] importance, int cols) {
    this.type = type;
    this.importance = importance;
    x = new float[cols];
    w = new float[cols];
    codes = new byte[cols];
  }

  @Override
  public int quantize(MemorySegment in, long inOffset, MemorySegment out, long outOffset) {
    MemorySegment.copy(in, F32, inOffset, x, 0, x.length);
    float square = 0;
    for (float value : x) {
      square += value * value;
    }
    square /= x.length;
    for (int i = 0; i < x.length; i++) {
      w[i] = importance[i] * (float) Math.sqrt(square + x[i] * x[i]);
    }
    int bits = RoundedBlock.codeBits(type);
    int scaleBytes = RoundedBlock.scaleBytes(type);
    float[] min = new float[1];
    AffineFit affine = new AffineFit((1 << bits) - 1, -0.9f, 0.05f, 36, false);
    SymmetricFit symmetric = new SymmetricFit(1 << (bits - 1));
    for (int from = 0; from < x.length; from += RoundedBlock.ELEMENTS) {
      long to = outOffset + (long) from / RoundedBlock.ELEMENTS * type.blockBytes();
      float d =
          scaleBytes == Short.BYTES
              ? symmetric.fit(x, w, from, RoundedBlock.ELEMENTS, codes)
              : affine.fit(x, w, from, RoundedBlock.ELEMENTS, codes, min, 0);
      out.set(U16, to, Float.floatToFloat16(d));
      if (scaleBytes > Short.BYTES) {
        out.set(U16, to + Short.BYTES, Float.floatToFloat16(-min[0]));
      }
      RoundedBlock.pack(bits, codes, from, out, to + scaleBytes);
    }
    return RowQuantizer.largestBits(x);
  }
}
