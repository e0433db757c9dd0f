package smelt.calibrate.model;

import java.io.IOException;
import smelt.calibrate.math.Matrix;

/// One kind of attention: reads a layer's weights and adds what they give to the hidden states.
interface AttentionBlock {

  /// Adds attention's output to the hidden states of a span. Takes scratch memory and leaves it
  /// taken: the caller releases it.
  ///
  /// @param normed input, one row a token of the span; its values are lost
  /// @param rope tables for the positions of the longest sequence
  void add(int layer, Matrix normed, Span span, RopeTables rope, LayerOptions options)
      throws IOException;
}
