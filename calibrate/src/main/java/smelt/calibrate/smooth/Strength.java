package smelt.calibrate.smooth;

/// How much of the difficulty of rounding moves from activations into weights.
public sealed interface Strength {

  /// What most others use.
  Strength USUAL = new Fixed(0.5);

  /// Factors `max|X|^alpha / max|W|^(1 - alpha)` of each channel.
  record Fixed(double alpha) implements Strength {
    public Fixed {
      if (!(alpha >= 0 && alpha <= 1)) {
        throw new IllegalArgumentException("alpha " + alpha);
      }
    }
  }

  /// Of 0, 0.05 to 1 the alpha with which rounding is expected to cost least, or no smoothing where
  /// none is better.
  record Searched() implements Strength {}
}
