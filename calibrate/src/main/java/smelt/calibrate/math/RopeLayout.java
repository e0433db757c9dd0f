package smelt.calibrate.math;

/// Which numbers of a head form the pairs that rotary position embedding rotates.
public enum RopeLayout {
  /// Numbers `2i` and `2i + 1`, as DeepSeek's checkpoints have them.
  INTERLEAVED,
  /// Numbers `i` and `i + dim / 2`, as Llama's and Qwen's have them.
  HALVES
}
