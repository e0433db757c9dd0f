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
}
