package smelt.formats.ggml;

import java.lang.foreign.MemorySegment;
import smelt.formats.UnsupportedException;
import smelt.formats.codec.KernelSet;
import smelt.formats.gguf.GgmlType;

/// The inner loops of the block types. `ScalarBlocks` is the definition; every other set gives the
/// same bytes. All arithmetic is in F32, products are taken from left to right, sums run in the
/// order of the elements, and nothing is fused. Implementations have no state; any thread may call
/// them.
public abstract class BlockKernels {

  BlockKernels() {}

  /// The kernels of a name.
  ///
  /// @param name `auto` (vector where it is available, else scalar), `scalar` or `vector`
  /// @throws UnsupportedException if the vector kernels are asked for and not available
  /// @throws IllegalArgumentException for any other name
  public static BlockKernels choose(String name) {
    return KernelSet.choose(name).name().equals("scalar") ? new ScalarBlocks() : Vector.blocks();
  }

  /// Keeps the reference to the vector kernels out of the class above, so that it links without
  /// them.
  private static final class Vector {
    static BlockKernels blocks() {
      return new VectorBlocks();
    }
  }

  /// Name for the log, such as `scalar`.
  public abstract String name();

  /// Rounds blocks of 32 without weights: `Q8_0`, `Q4_0`, `Q4_1`, `Q5_0`, `Q5_1`. The layouts and
  /// rules are those of `RoundedBlock`.
  ///
  /// @param in F32
  /// @return the largest magnitude, as its bits without the sign; where it is not finite the blocks
  ///   mean nothing
  abstract int encodeRounded(
      GgmlType type,
      MemorySegment in,
      long inOffset,
      MemorySegment out,
      long outOffset,
      long blocks);

  /// Fits all groups of a row.
  ///
  /// @param size elements of a group
  /// @param codes gets the codes, at the places of the elements
  /// @param mins gets what each group's least value is below 0
  /// @param scales gets each group's scale
  abstract void fit(
      AffineFit fit, int size, float[] x, float[] w, byte[] codes, float[] mins, float[] scales);

  /// The same without least values.
  abstract void fit(SymmetricFit fit, int size, float[] x, float[] w, byte[] codes, float[] scales);

  /// Rounds elements with a scale that is given: `(x + add) / scale`, to the nearest of the codes
  /// from `least` to `largest`, and adds `middle`.
  abstract void round(
      float[] x,
      int from,
      int count,
      float add,
      float scale,
      int least,
      int largest,
      int middle,
      byte[] codes);
}
