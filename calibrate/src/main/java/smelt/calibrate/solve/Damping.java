package smelt.calibrate.solve;

/// What is added to the diagonal of second moments, so that they can be factored and noise in them
/// does no harm: `share` times the mean of the diagonal. Where that is not enough `step` is added
/// to the share, again and again, up to `most`.
public record Damping(double share, double step, double most) {

  /// 0.01 of the mean, for second moments of many more tokens than channels.
  public static final Damping LIGHT = new Damping(0.01, 0.01, 1);

  /// 0.1 of the mean, for those of few tokens.
  public static final Damping STRONG = new Damping(0.1, 0.05, 1);

  public Damping {
    if (!(share > 0 && step > 0 && most >= share && most <= 1e3)) {
      throw new IllegalArgumentException("damping " + share + " by " + step + " to " + most);
    }
  }
}
