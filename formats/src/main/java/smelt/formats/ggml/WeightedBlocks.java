package smelt.formats.ggml;

import static smelt.formats.ggml.Layouts.F32;
import static smelt.formats.ggml.Layouts.U16;

import java.lang.foreign.MemorySegment;
import smelt.formats.gguf.GgmlType;

/// The layouts of `RoundedBlock` with codes that are searched for, as elements count for more or
/// less: by their importance times `sqrt(s + x^2)`, with `s` the mean square of the row.
final class WeightedBlocks implements RowQuantizer {

  private final BlockKernels kernels;
  private final GgmlType type;
  private final float[] importance;
  private final float[] x;
  private final float[] w;
  private final byte[] codes;
  private final float[] scales;
  private final float[] mins;

  WeightedBlocks(BlockKernels kernels, GgmlType type, float[] importance, int cols) {
    this.kernels = kernels;
    this.type = type;
    this.importance = importance;
    x = new float[cols];
    w = new float[cols];
    codes = new byte[cols];
    scales = new float[cols / RoundedBlock.ELEMENTS];
    mins = new float[cols / RoundedBlock.ELEMENTS];
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
    if (scaleBytes == Short.BYTES) {
      SymmetricFit fit = new SymmetricFit(1 << (bits - 1));
      kernels.fit(fit, RoundedBlock.ELEMENTS, x, w, codes, scales);
    } else {
      AffineFit fit = new AffineFit((1 << bits) - 1, -0.9f, 0.05f, 36, false);
      kernels.fit(fit, RoundedBlock.ELEMENTS, x, w, codes, mins, scales);
    }
    for (int block = 0; block < scales.length; block++) {
      long to = outOffset + (long) block * type.blockBytes();
      out.set(U16, to, Float.floatToFloat16(scales[block]));
      if (scaleBytes > Short.BYTES) {
        out.set(U16, to + Short.BYTES, Float.floatToFloat16(-mins[block]));
      }
      RoundedBlock.pack(bits, codes, block * RoundedBlock.ELEMENTS, out, to + scaleBytes);
    }
    return RowQuantizer.largestBits(x);
  }
}
