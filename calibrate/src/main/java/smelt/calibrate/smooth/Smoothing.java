package smelt.calibrate.smooth;

import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;
import smelt.calibrate.observe.InputStats;

/// The factors that were chosen for a pair, and what they are expected to bring.
///
/// A factor is `max|X|^alpha / max|W|^(1 - alpha)` of its channel, over all tokens and all weights
/// that are rounded. Their geometric mean is 1, and none is beyond 2^-13 to 2^13. A channel that is
/// always zero, or that no weight reads, keeps 1.
///
/// A few tokens say little about a channel, and one taken for small that is not would spoil every
/// token. So `max|X|^2` is the mean of what `N` tokens show and of the median channel's, which
/// counts like 16 tokens.
public final class Smoothing {

  private static final double LARGEST_LOG = 13 * StrictMath.log(2);
  private static final int STEPS = 20;
  private static final double TOKENS_OF_MEDIAN = 16;

  private final Coupling coupling;
  private final OptionalDouble alpha;
  private final float[] factors;
  private final double plainError;
  private final double error;

  private Smoothing(
      Coupling coupling, OptionalDouble alpha, float[] factors, double plainError, double error) {
    this.coupling = coupling;
    this.alpha = alpha;
    this.factors = factors;
    this.plainError = plainError;
    this.error = error;
  }

  /// Chooses factors for a pair. Without tokens, or without weights that are rounded, it stays as
  /// it is.
  ///
  /// @param input what was seen at the pair's site
  /// @param rounded the pair's consumers that the target rounds; the others are multiplied too but
  ///   have no say
  /// @param exact whether factors are rounded to powers of two, which leave BF16 and F32 weights
  ///   their bits
  public static Smoothing choose(
      Coupling coupling,
      InputStats input,
      List<ColumnStats> rounded,
      Strength strength,
      boolean exact) {
    check(coupling, input, rounded);
    float[] plain = new float[coupling.channels()];
    Arrays.fill(plain, 1);
    if (input.tokens() == 0 || rounded.isEmpty()) {
      return new Smoothing(coupling, OptionalDouble.empty(), plain, 0, 0);
    }
    Choice choice = new Choice(coupling, input, rounded, exact);
    Smoothing unchanged = choice.result(OptionalDouble.empty(), plain, choice.error(plain));
    return switch (strength) {
      case Strength.Fixed(double alpha) -> choice.with(alpha, unchanged);
      case Strength.Searched _ -> {
        Smoothing best = unchanged;
        for (int step = 0; step <= STEPS; step++) {
          Smoothing next = choice.with((double) step / STEPS, unchanged);
          best = next.error < best.error ? next : best;
        }
        yield best;
      }
    };
  }

  private static void check(Coupling coupling, InputStats input, List<ColumnStats> rounded) {
    if (input.channels() != coupling.inputs()) {
      throw new IllegalArgumentException(
          coupling.pair() + ": " + input.channels() + " of " + coupling.inputs() + " inputs");
    }
    for (ColumnStats stats : rounded) {
      if (!coupling.consumers().contains(stats.weight())) {
        throw new IllegalArgumentException(stats.weight().name() + " for " + coupling.pair());
      }
    }
  }

  /// What does not depend on alpha.
  private static final class Choice {

    private final Coupling coupling;
    private final boolean exact;
    private final RoundingError rounding;
    private final float[] inputs;
    private final float[] weights;

    Choice(Coupling coupling, InputStats input, List<ColumnStats> rounded, boolean exact) {
      this.coupling = coupling;
      this.exact = exact;
      rounding = new RoundingError(input, rounded);
      inputs = shrunk(coupling.columns().largest(input.channelAbsmax()), input.tokens());
      weights = new float[inputs.length];
      for (ColumnStats stats : rounded) {
        float[] own = coupling.columns().largest(stats.absmax());
        for (int c = 0; c < own.length; c++) {
          weights[c] = Math.max(weights[c], own[c]);
        }
      }
    }

    /// Channels that are always zero stay so.
    private static float[] shrunk(float[] absmax, long tokens) {
      float[] sorted = absmax.clone();
      Arrays.sort(sorted);
      double median = sorted[sorted.length / 2];
      double share = TOKENS_OF_MEDIAN / (tokens + TOKENS_OF_MEDIAN);
      float[] shrunk = new float[absmax.length];
      for (int c = 0; c < absmax.length; c++) {
        double square = (double) absmax[c] * absmax[c];
        shrunk[c] =
            absmax[c] == 0 ? 0 : (float) Math.sqrt(square + share * (median * median - square));
      }
      return shrunk;
    }

    double error(float[] factors) {
      return rounding.of(coupling.columns().spread(factors, coupling.inputs()));
    }

    Smoothing result(OptionalDouble alpha, float[] factors, double plainError) {
      return new Smoothing(coupling, alpha, factors, plainError, error(factors));
    }

    Smoothing with(double alpha, Smoothing unchanged) {
      return result(OptionalDouble.of(alpha), factors(alpha), unchanged.error);
    }

    private float[] factors(double alpha) {
      double[] logs = new double[inputs.length];
      double sum = 0;
      int live = 0;
      for (int c = 0; c < logs.length; c++) {
        if (isLive(c)) {
          logs[c] = alpha * StrictMath.log(inputs[c]) - (1 - alpha) * StrictMath.log(weights[c]);
          sum += logs[c];
          live++;
        }
      }
      float[] factors = new float[logs.length];
      for (int c = 0; c < logs.length; c++) {
        double log = isLive(c) ? logs[c] - sum / live : 0;
        double clamped = Math.clamp(log, -LARGEST_LOG, LARGEST_LOG);
        factors[c] = (float) StrictMath.exp(clamped);
      }
      return exact ? PowersOfTwo.nearest(factors) : factors;
    }

    private boolean isLive(int channel) {
      return inputs[channel] > 0 && weights[channel] > 0;
    }
  }

  public Coupling coupling() {
    return coupling;
  }

  /// The alpha of the factors; empty if the pair stays as it is.
  public OptionalDouble alpha() {
    return alpha;
  }

  /// A copy of the factors of all channels.
  public float[] factors() {
    return factors.clone();
  }

  /// Expected noise by signal without factors, see [RoundingError]; 0 if nothing was asked.
  public double plainError() {
    return plainError;
  }

  /// The same with them.
  public double error() {
    return error;
  }

  public Folding folding() {
    return alpha.isPresent() ? Folding.of(coupling, factors) : Folding.NONE;
  }
}
