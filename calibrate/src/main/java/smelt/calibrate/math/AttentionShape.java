package smelt.calibrate.math;

/// The sizes of causal attention.
///
/// @param heads query heads
/// @param kvHeads heads of keys and values; query head `h` uses head `h / (heads / kvHeads)`
/// @param qkDim numbers of one head of queries and keys
/// @param vDim numbers of one head of values
/// @param scale factor of the scores before the softmax
public record AttentionShape(int heads, int kvHeads, int qkDim, int vDim, float scale) {
  public AttentionShape {
    boolean positive = heads > 0 && kvHeads > 0 && qkDim > 0 && vDim > 0;
    if (!positive || heads % kvHeads != 0) {
      throw new IllegalArgumentException(
          heads + " heads, " + kvHeads + " of keys, of " + qkDim + " and " + vDim);
    }
  }
}
