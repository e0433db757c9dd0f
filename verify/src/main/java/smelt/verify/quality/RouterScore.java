package smelt.verify.quality;

import java.util.OptionalDouble;

/// How the experts that the result's router chooses in one layer agree with the source's, over all
/// scored tokens. `A` and `B` are the two sets of `k` experts of a token, `w` and `w'` their
/// weights, each set's weights divided by their sum.
///
/// @param sameSet share of tokens with `A = B`
/// @param overlap mean of `|A and B| / k`
/// @param massOverlap mean of the sum of `min(w, w')` over the experts in both
/// @param massLimit one-sided lower limit of `massOverlap`, at the verdict's level; the value where
///   both routers agree to the bit; empty where there are too few documents
/// @param firstChanged share of tokens whose heaviest expert differs
/// @param decidedFlips share of tokens with `A != B` although the source's choice was decided: its
///   routing margin exceeds [#DECIDED]
public record RouterScore(
    double sameSet,
    double overlap,
    double massOverlap,
    OptionalDouble massLimit,
    double firstChanged,
    double decidedFlips) {

  /// The routing margin, in scores, above which a choice counts as decided.
  public static final double DECIDED = 0.01;
}
