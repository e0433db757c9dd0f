package smelt.calibrate.model;

import java.io.IOException;
import smelt.calibrate.math.Matrix;

/// One kind of attention of new tokens to all before them, of which a cache holds what is needed.
interface CachedAttention {

  /// What a cache and the work on it take, in numbers.
  ///
  /// @param width of the cache, for a token and a layer
  /// @param perToken of scratch, for each new token
  /// @param fixed of scratch, whatever the number of new tokens
  record Needs(long width, long perToken, long fixed) {
    static Needs of(ModelSpec spec) {
      return switch (spec.attention()) {
        case Attention.Mla mla -> CachedMla.needs(mla, spec.hidden());
        case Attention.Grouped grouped -> CachedGrouped.needs(grouped, spec.hidden());
      };
    }
  }

  /// Adds attention's output to the hidden states of some new tokens, and writes these tokens into
  /// the cache. Takes scratch memory and leaves it taken: the caller releases it.
  ///
  /// @param normed input, one row for each new token; its values are lost
  /// @param hidden of the new tokens
  /// @param cache `[tokens so far, width]`; the last rows are the new tokens' own, and not filled
  /// @param rope tables for the positions of the new tokens
  void add(int layer, Matrix normed, Matrix hidden, Matrix cache, RopeTables rope)
      throws IOException;
}
