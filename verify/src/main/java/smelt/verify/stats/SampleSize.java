package smelt.verify.stats;

import java.util.OptionalLong;

/// How many tokens a gate needs, so that a limit with 5 % false passes lets a value as good as the
/// measured one pass in 95 % of cases: `N = ((z + z) deviation / gap)^2 designEffect`, with `z` the
/// 95 % quantile of the normal distribution. Empty where the value itself does not hold.
public final class SampleSize {

  private static final double Z = 1.6448536269514722;

  private SampleSize() {}

  /// @param deviation standard deviation of a token
  /// @param gap what lies between the value and its bound
  public static OptionalLong forMean(double deviation, double gap, double designEffect) {
    if (!(gap > 0)) {
      return OptionalLong.empty();
    }
    double ratio = 2 * Z * deviation / gap;
    return whole(ratio * ratio * Math.max(1, designEffect));
  }

  /// For a share of exceptions that must stay below a bound; without any exception, the tokens
  /// after which none at all is enough.
  public static OptionalLong forExceptions(double share, double bound, double designEffect) {
    if (!(share < bound)) {
      return OptionalLong.empty();
    }
    double effect = Math.max(1, designEffect);
    double none = StrictMath.log(1 - Limits.CONFIDENCE) / StrictMath.log1p(-bound);
    double spread =
        Z * StrictMath.sqrt(bound * (1 - bound)) + Z * StrictMath.sqrt(share * (1 - share));
    double ratio = spread / (bound - share);
    return whole((share == 0 ? none : Math.max(none, ratio * ratio)) * effect);
  }

  private static OptionalLong whole(double tokens) {
    return Double.isFinite(tokens)
        ? OptionalLong.of((long) Math.ceil(tokens))
        : OptionalLong.empty();
  }
}
