package smelt.formats.checkpoint;

/// The three matrices of a gated feed-forward block.
public enum Projection {
  GATE,
  UP,
  DOWN
}
