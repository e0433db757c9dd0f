package smelt.verify.stats;

/// Tells, sequence by sequence, whether the mean of a quantity that is never negative is certain to
/// lie above a bound `B`. It may be asked after every sequence without losing what it promises.
///
/// For a sequence of `n` tokens with the mean `x`, clipped at `c = 5 B`, the loss is `g = n / L (x -
/// B)` with `L` the length of the longest sequence: so long sequences count as their tokens do. The
/// bet is that the mean is above `B` (Ville's inequality for nonnegative supermartingales):
///
///     V = product (1 + s g),  s in [0, 0.75 / B]
///
/// A stake `s` is `m / (v + m^2)` of the losses seen before, with mean `m` and variance `v`, so it
/// knows nothing of the sequence that it is put on. If the mean is `B` or less, `V` ever reaches 20
/// with a probability of at most 5 %. Clipping only makes `V` smaller.
///
/// What it promises holds for sequences drawn independently; parts of one document are none.
public final class SequentialTest {

  private static final double THRESHOLD = StrictMath.log(20);
  private static final double CLIP = 5;
  private static final double MOST = 0.75;
  private static final double PRIOR_WEIGHT = 2;

  private final double bound;
  private final int longest;
  private final double spreadOfOne;
  private double losses;
  private double squares;
  private double log;
  private int sequences;
  private boolean certain;

  /// @param bound above 0: a mean above 0 is certain as soon as one value is
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
  /// fail. What is certain stays so.
  ///
  /// @return whether it is certain
  public boolean feed(double[] values) {
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
      double mean = Math.min(sum / values.length, CLIP * bound);
      bet((double) values.length / longest * (mean - bound));
    } else {
      certain = true;
    }
    return certain;
  }

  private void bet(double loss) {
    double weight = sequences - 1 + PRIOR_WEIGHT;
    double mean = losses / weight;
    double variance = (squares + PRIOR_WEIGHT * spreadOfOne) / weight - mean * mean;
    double stake = Math.clamp(mean / (variance + mean * mean), 0, MOST / bound);
    log += StrictMath.log1p(stake * loss);
    losses += loss;
    squares += loss * loss;
    certain |= log >= THRESHOLD;
  }

  /// Whether the mean is certain to lie above the bound.
  public boolean isCertain() {
    return certain;
  }

  /// Sequences fed so far.
  public int sequences() {
    return sequences;
  }

  /// `V`: 20 or more is certain.
  public double evidence() {
    return StrictMath.exp(log);
  }
}
