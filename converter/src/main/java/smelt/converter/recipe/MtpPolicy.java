package smelt.converter.recipe;

/// What becomes of the layers for multi-token prediction.
public enum MtpPolicy {
  /// Converted like ordinary layers.
  KEEP,
  /// Left out, each tensor named as dropped.
  DROP
}
