package smelt.formats.ggml;

import java.lang.foreign.MemorySegment;
import smelt.formats.gguf.GgmlType;

/// Quantizes rows of one type and one length, one after the other. Has the working memory of one
/// thread.
interface RowQuantizer {

  /// @return the largest magnitude of the row, as its bits without the sign; where it is not finite
  ///   the blocks mean nothing
  int quantize(MemorySegment in, long inOffset, MemorySegment out, long outOffset);

  /// @param importance empty for none
  static RowQuantizer of(BlockKernels kernels, GgmlType type, float[] importance, int cols) {
    return switch (type) {
      case Q8_0 -> rounded(kernels, type, cols);
      case Q4_0, Q4_1, Q5_0, Q5_1 ->
          importance.length == 0
              ? rounded(kernels, type, cols)
              : new WeightedBlocks(kernels, type, importance, cols);
      case Q2_K, Q4_K, Q5_K -> new AffineSuperBlocks(kernels, type, importance, cols);
      case Q3_K -> new ThreeBitSuperBlocks(kernels, importance, cols);
      case Q6_K -> new SymmetricSuperBlocks(kernels, importance, cols);
      case IQ4_NL, IQ4_XS -> new UnevenBlocks(type, importance, cols);
      case MXFP4 -> new PowerBlocks(cols);
      default -> throw new IllegalArgumentException("cannot write " + type);
    };
  }

  private static RowQuantizer rounded(BlockKernels kernels, GgmlType type, int cols) {
    int blocks = cols / type.blockElements();
    return (in, inOffset, out, outOffset) ->
        kernels.encodeRounded(type, in, inOffset, out, outOffset, blocks);
  }

  /// The largest magnitude, as its bits without the sign.
  static int largestBits(float[] row) {
    int largest = 0;
    for (float value : row) {
      largest = Math.max(largest, Float.floatToRawIntBits(value) & 0x7FFFFFFF);
    }
    return largest;
  }
}
