package smelt.calibrate.model;

import java.io.IOException;
import java.util.List;
import smelt.calibrate.math.Matrix;
import smelt.formats.checkpoint.Weight;

/// Watches what goes into the linears of a model while it runs. Nothing of the run depends on it.
///
/// All methods are called on the thread that runs the model. Matrices are valid during the call and
/// must not be changed. The tokens of a call follow those of the call before for the same weights;
/// how many a call has depends on memory.
@FunctionalInterface
public interface Observer {

  /// No tokens.
  int[] NO_TOKENS = {};

  /// Watches nothing.
  Observer NONE = (_, _) -> {};

  /// What goes into weights that read the same numbers, before any rounding; once for each token.
  ///
  /// @param weights whole linears, never some of their rows. The head of a model that ties it to
  ///   its embedding is that embedding
  /// @param x `[tokens, columns of each weight]`
  void input(List<Weight> weights, Matrix x) throws IOException;

  /// What came out of a whole linear for the `input` that was told last, as it is used further: a
  /// bias is not in it yet.
  ///
  /// @param out `[tokens, rows of the weight]`
  default void output(Weight weight, Matrix out) throws IOException {}

  /// What the router of a layer chose, after its own `input`, and before any expert runs.
  ///
  /// @param input what the router read, and every expert will read of it: row `i` is that of token
  ///   `firstToken + i` of the batch
  /// @param routing filled for these tokens and those before
  default void routed(int layer, Matrix input, long firstToken, Routing routing)
      throws IOException {}

  /// The scores that the router gave to all experts for one token, and what it chose by them; for
  /// one token after the other, before `routed`.
  ///
  /// @param scores one for each expert, without the correction bias; valid during the call
  default void scored(int layer, long token, float[] scores, Routing routing) throws IOException {}

  /// Tokens that an expert is run for beside its own, for nothing but to see what would go into its
  /// `down`. Asked of each expert when the router has chosen for all tokens, where weights are read
  /// once ([ReferenceModel#layerOnce]).
  ///
  /// @return numbers of tokens, each once
  default int[] further(int layer, int expert) {
    return NO_TOKENS;
  }

  /// What would go into an expert's `down` for further tokens, in the order of `further`.
  default void further(Weight down, Matrix x) throws IOException {}

  /// The weights of a part of a layer have been multiplied with all tokens that are at hand: those
  /// of attention, of a dense unit, of the shared expert or of one routed expert.
  default void done(List<Weight> weights) throws IOException {}
}
