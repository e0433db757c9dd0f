package smelt.verify.stats;

/// Decides, sequence by sequence, whether the mean of a quantity that is never negative lies below
/// a bound `B`, and stops as soon as that is certain. It may be asked after every sequence without
/// losing what it promises.
///
/// For a sequence of `n` tokens with the mean `x`, clipped at `c = 5 B`, the gain is `g = n / L (B
/// - x)` with `L` the length of the longest sequence: so long sequences count as their tokens do.
///   Two bets are followed (Ville's inequality for nonnegative supermartingales):
///
/// | evidence | bets that | stake |
/// |---|---|---|
/// | `W = product (1 + s g)` | the mean is below `B` | `s` in `[0, 0.75 / (c - B)]` |
/// | `V = product (1 - s g)` | the mean is above `B` | `s` in `[0, 0.75 / B]` |
///
/// A stake is `m / (v + m^2)` of the gains seen before, with mean `m` and variance `v`, so it knows
/// nothing of the sequence that it is put on. If the mean is `B` or more, `W` ever reaches 20 with
/// a probability of at most 5 %; if it is `B` or less, `V` does. What is above the clip is not in
/// `W`: a pass is to be read together with [#clippedShareLimit].
///
/// What it promises holds for sequences drawn independently; parts of one document are none.
public final class SequentialTest {

  /// What is certain so far.
  public enum Decision {
    PASS,
    FAIL,
    UNDECIDED
  }

  private static final double THRESHOLD = StrictMath.log(20);
  private static final double CLIP = 5;
  private static final double MOST = 0.75;
  private static final double PRIOR_WEIGHT = 2;

  private final double bound;
  private final int longest;
  private final double spreadOfOne;
  private double gains;
  private double squares;
  private double logPass;
  private double logFail;
  private int sequences;
  private int clipped;
  private Decision decision = Decision.UNDECIDED;

  /// @param bound above 0: whether a mean is exactly 0 no sample can tell
  /// @param longest tokens of the longest sequence that will be fed
  public SequentialTest(double bound, int longest) {
    if (!(bound > 0 && Double.isFinite(bound)) || longest < 1) {
      throw new IllegalArgumentException("bound " + bound + ", longest sequence " + longest);
    }
    this.bound = bound;
    this.longest = longest;
    this.spreadOfOne = bound * bound / 4;
  }

  /// Takes one sequence's values, one for each token. A value that is NaN or negative is a certain
  /// fail. A decision once made stays.
  public Decision feed(double[] values) {
    if (values.length < 1 || values.length > longest) {
      throw new IllegalArgumentException(values.length + " tokens, of " + longest + " at most");
    }
    double sum = 0;
    boolean valid = true;
    for (double value : values) {
      valid &= value >= 0;
      sum += value;
    }
    sequences++;
    if (valid) {
      double mean = sum / values.length;
      clipped += mean > CLIP * bound ? 1 : 0;
      bet((double) values.length / longest * (bound - Math.min(mean, CLIP * bound)));
    } else {
      decision = Decision.FAIL;
    }
    return decision;
  }

  private void bet(double gain) {
    double weight = sequences - 1 + PRIOR_WEIGHT;
    double mean = gains / weight;
    double variance = (squares + PRIOR_WEIGHT * spreadOfOne) / weight - mean * mean;
    double stake = mean / (variance + mean * mean);
    double forPass = Math.clamp(prior(stake), 0, MOST / ((CLIP - 1) * bound));
    double forFail = Math.clamp(-stake, 0, MOST / bound);
    logPass += StrictMath.log1p(forPass * gain);
    logFail += StrictMath.log1p(-forFail * gain);
    gains += gain;
    squares += gain * gain;
    if (decision == Decision.UNDECIDED) {
      decision =
          logPass >= THRESHOLD
              ? Decision.PASS
              : logFail >= THRESHOLD ? Decision.FAIL : Decision.UNDECIDED;
    }
  }

  /// Before the first sequence the bet is that the result is good.
  private double prior(double stake) {
    return sequences == 1 ? Double.MAX_VALUE : stake;
  }

  public Decision decision() {
    return decision;
  }

  /// Sequences fed so far.
  public int sequences() {
    return sequences;
  }

  /// `W`: 20 or more is a pass.
  public double evidence() {
    return StrictMath.exp(logPass);
  }

  /// `V`: 20 or more is a fail.
  public double counterEvidence() {
    return StrictMath.exp(logFail);
  }

  /// Upper 95 % limit of the share of sequences whose mean lies above the clip; 1 before the first.
  public double clippedShareLimit() {
    return sequences == 0 ? 1 : Proportion.upper(clipped, sequences, Limits.CONFIDENCE);
  }
}
