package smelt.formats.ggml;

import java.lang.foreign.MemorySegment;
import smelt.formats.gguf.GgmlType;

/// The definition, in plain code.
final class ScalarBlocks extends BlockKernels {

  @Override
  public String name() {
    return "scalar";
  }

  @Override
  int encodeRounded(
      GgmlType type,
      MemorySegment in,
      long inOffset,
      MemorySegment out,
      long outOffset,
      long blocks) {
    float[] x = new float[RoundedBlock.ELEMENTS];
    int largest = 0;
    for (long block = 0; block < blocks; block++) {
      RoundedBlock.load(in, inOffset + block * RoundedBlock.ELEMENTS * Float.BYTES, x);
      for (float value : x) {
        largest = Math.max(largest, Float.floatToRawIntBits(value) & 0x7FFFFFFF);
      }
      RoundedBlock.encode(type, x, out, outOffset + block * type.blockBytes());
    }
    return largest;
  }

  @Override
  void fit(
      AffineFit fit, int size, float[] x, float[] w, byte[] codes, float[] mins, float[] scales) {
    for (int group = 0; group < x.length / size; group++) {
      scales[group] = fit.fit(x, w, group * size, size, codes, mins, group);
    }
  }

  @Override
  void fit(SymmetricFit fit, int size, float[] x, float[] w, byte[] codes, float[] scales) {
    for (int group = 0; group < x.length / size; group++) {
      scales[group] = fit.fit(x, w, group * size, size, codes);
    }
  }

  @Override
  void round(
      float[] x,
      int from,
      int count,
      float add,
      float scale,
      int least,
      int largest,
      int middle,
      byte[] codes) {
    for (int i = from; i < from + count; i++) {
      int code = Round.clamp(Round.nearest((x[i] + add) / scale), least, largest);
      codes[i] = (byte) (code + middle);
    }
  }
}
