package smelt.calibrate.observe;

import java.util.Optional;

/// What was seen at a site. Extremes and the histogram are over all tokens that passed there, means
/// of squares over those that may be chosen from, and apart over those held out.
public final class InputStats {

  private final long tokens;
  private final float min;
  private final float max;
  private final float[] channelAbsmax;
  private final float[] channelMeanSquare;
  private final Optional<Histogram> histogram;
  private final long heldOutTokens;
  private final float[] heldOutMeanSquare;

  /// Without a histogram, and with no token held out.
  ///
  /// @param tokens how many
  /// @param min the smallest number of all, at most 0
  /// @param max the largest number of all, at least 0
  /// @param channelAbsmax largest magnitude of each channel; copied
  /// @param channelMeanSquare mean of the square of each channel, 0 without tokens; copied
  public InputStats(
      long tokens, float min, float max, float[] channelAbsmax, float[] channelMeanSquare) {
    this(
        tokens,
        min,
        max,
        channelAbsmax,
        channelMeanSquare,
        Optional.empty(),
        0,
        new float[channelAbsmax.length]);
  }

  /// @param tokens how many may be chosen from
  /// @param channelMeanSquare over these
  /// @param histogram of the magnitudes of all channels, where they were counted
  /// @param heldOutTokens how many others there were
  /// @param heldOutMeanSquare mean of the square of each channel over these, 0 without; copied
  public InputStats(
      long tokens,
      float min,
      float max,
      float[] channelAbsmax,
      float[] channelMeanSquare,
      Optional<Histogram> histogram,
      long heldOutTokens,
      float[] heldOutMeanSquare) {
    if (tokens < 0 || heldOutTokens < 0 || !(min <= 0) || !(max >= 0)) {
      throw new IllegalArgumentException(tokens + " tokens from " + min + " to " + max);
    }
    if (channelAbsmax.length != channelMeanSquare.length
        || channelAbsmax.length != heldOutMeanSquare.length) {
      throw new IllegalArgumentException(
          channelAbsmax.length
              + ", "
              + channelMeanSquare.length
              + " and "
              + heldOutMeanSquare.length
              + " channels");
    }
    this.tokens = tokens;
    this.min = min;
    this.max = max;
    this.channelAbsmax = channelAbsmax.clone();
    this.channelMeanSquare = channelMeanSquare.clone();
    this.histogram = histogram;
    this.heldOutTokens = heldOutTokens;
    this.heldOutMeanSquare = heldOutMeanSquare.clone();
  }

  /// How many tokens may be chosen from.
  public long tokens() {
    return tokens;
  }

  /// The smallest number of all channels, at most 0.
  public float min() {
    return min;
  }

  /// The largest number of all channels, at least 0.
  public float max() {
    return max;
  }

  public int channels() {
    return channelAbsmax.length;
  }

  /// Largest magnitude of all channels.
  public float absmax() {
    return Math.max(max, -min);
  }

  /// A copy of the largest magnitudes.
  public float[] channelAbsmax() {
    return channelAbsmax.clone();
  }

  /// A copy of the mean squares over the tokens that may be chosen from.
  public float[] channelMeanSquare() {
    return channelMeanSquare.clone();
  }

  /// How many tokens are held out.
  public long heldOutTokens() {
    return heldOutTokens;
  }

  /// A copy of the mean squares over the tokens held out.
  public float[] heldOutMeanSquare() {
    return heldOutMeanSquare.clone();
  }

  /// How many numbers had which magnitude; routed experts have none.
  public Optional<Histogram> histogram() {
    return histogram;
  }
}
