package smelt.calibrate.model;

/// The second half of a layer: gated linear units, `down(silu(gate(x)) * up(x))`.
public sealed interface FeedForward {

  /// One unit for all tokens.
  record Dense(int width) implements FeedForward {}

  /// Several units of which each token uses a few, and one that all tokens use.
  ///
  /// @param width of one routed expert
  /// @param sharedWidth of the shared expert; 0 where there is none
  record Experts(RoutingRule rule, int width, int sharedWidth) implements FeedForward {}
}
