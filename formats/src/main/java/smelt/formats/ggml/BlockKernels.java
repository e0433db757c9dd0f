package smelt.formats.ggml;

import java.lang.foreign.MemorySegment;
import smelt.formats.UnsupportedException;
import smelt.formats.gguf.GgmlType;

/// The inner loops of the block types. `ScalarBlocks` is the definition; every other set gives the
/// same bytes. All arithmetic is in F32, products are taken from left to right, sums run in the
/// order of the elements, and nothing is fused. Implementations have no state; any thread may call
/// them.
public abstract class BlockKernels {

  BlockKernels() {}

  /// The kernels of a name. There is only scalar code for these types so far.
  ///
  /// @param name `auto` or `scalar`
  /// @throws UnsupportedException if vector kernels are asked for
  /// @throws IllegalArgumentException for any other name
  public static BlockKernels choose(String name) {
    return switch (name) {
      case "auto", "scalar" -> new ScalarBlocks();
      case "vector" ->
          throw new UnsupportedException(
              "--kernels vector: block types have scalar kernels only", "use auto or scalar");
      default ->
          throw new IllegalArgumentException(
              "no kernels named '" + name + "'; there are auto, scalar");
    };
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
}
