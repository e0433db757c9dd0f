package smelt.calibrate.observe;

import java.util.List;

/// How much of a sample the experts of a layer saw.
///
/// @param layer number of the layer
/// @param tokens of the sample
/// @param experts in the order of their numbers; none for a layer without experts
public record Coverage(int layer, long tokens, List<Expert> experts) {

  public Coverage {
    experts = List.copyOf(experts);
  }

  /// What one expert saw.
  ///
  /// @param tokens that the router sent to it
  /// @param mass sum of the weights that its output was multiplied by
  /// @param squares sum of the squares of these weights
  /// @param forced further tokens that were run through it for the statistics of its `down`
  /// @param input what its `gate` and `up` are calibrated with
  /// @param down what its `down` is calibrated with
  public record Expert(
      long tokens, double mass, double squares, long forced, Source input, Source down) {

    /// How many tokens of equal weight would be as good a sample; 0 without tokens.
    public double effective() {
      return squares == 0 ? 0 : mass * mass / squares;
    }
  }

  /// Where the figures come from that a weight of an expert is calibrated with.
  public enum Source {
    /// Its own tokens.
    OWN,
    /// Its own tokens and, the more the fewer these are, all of the layer.
    SHRUNK,
    /// Its own tokens and further ones that came closest to being routed to it.
    FORCED,
    /// Nothing: no token was seen.
    NONE
  }

  /// Fewest tokens of an expert; 0 without experts.
  public long least() {
    return quantile(0);
  }

  /// Of the experts in order of their tokens, those of the one behind a share of them; the lower
  /// one where the share falls between two.
  ///
  /// @param share from 0 to 1
  public long quantile(double share) {
    if (!(share >= 0 && share <= 1)) {
      throw new IllegalArgumentException("a share of " + share);
    }
    long[] sorted = experts.stream().mapToLong(Expert::tokens).sorted().toArray();
    return sorted.length == 0 ? 0 : sorted[(int) (share * (sorted.length - 1))];
  }

  public long median() {
    return quantile(0.5);
  }

  /// Experts with fewer tokens than that.
  public long below(long count) {
    return experts.stream().filter(expert -> expert.tokens() < count).count();
  }

  /// The least effective sample of an expert; 0 without experts.
  public double leastEffective() {
    return experts.stream().mapToDouble(Expert::effective).min().orElse(0);
  }
}
