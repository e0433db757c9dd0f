package smelt.calibrate.observe;

import java.io.IOException;
import java.util.Optional;

/// How much each input channel of a weight counts: the mean square of what goes into it. An
/// expert's weights borrow, the more the fewer tokens there are:
///
/// ```
/// importance = (n * own + kappa * other) / (n + kappa)
/// ```
///
/// with `n` the tokens. For `gate` and `up`, `other` is the mean of all tokens of the layer,
/// channel by channel: all experts of a layer read the same vectors. Inputs of `down` are each
/// expert's own and cannot be borrowed; there `other` is the mean over the expert's own channels,
/// the same for each: a few tokens tell little of the differences between channels.
public final class Importance {

  /// Tokens that the other mean counts as.
  public static final double KAPPA = 64;

  private Importance() {}

  /// Says what was seen at a site; empty for a site that no token came to.
  @FunctionalInterface
  public interface Seen {
    Optional<InputStats> stats(Site site) throws IOException;
  }

  /// The importance of each channel of a site; empty where there is neither a token of its own nor
  /// a layer to borrow from.
  public static Optional<float[]> of(Seen seen, Site site) throws IOException {
    Optional<InputStats> own = seen.stats(site);
    if (site instanceof Site.ExpertDown) {
      return own.filter(stats -> stats.tokens() > 0).map(stats -> evened(stats, KAPPA));
    }
    if (!(site instanceof Site.ExpertInput input)) {
      return own.filter(stats -> stats.tokens() > 0).map(InputStats::channelMeanSquare);
    }
    Optional<InputStats> layer = seen.stats(new Site.FeedForwardInput(input.layer()));
    return layer.map(
        pool -> own.map(stats -> shrunk(stats, pool, KAPPA)).orElseGet(pool::channelMeanSquare));
  }

  /// Means of an expert's own tokens, shrunk to those of its layer.
  ///
  /// @param kappa tokens that the layer's mean counts as, above 0
  public static float[] shrunk(InputStats own, InputStats layer, double kappa) {
    if (own.channels() != layer.channels() || !(kappa > 0)) {
      throw new IllegalArgumentException(
          own.channels() + " of " + layer.channels() + " channels, kappa " + kappa);
    }
    float[] mean = own.channelMeanSquare();
    float[] pool = layer.channelMeanSquare();
    double tokens = own.tokens();
    for (int i = 0; i < mean.length; i++) {
      mean[i] = (float) ((tokens * mean[i] + kappa * pool[i]) / (tokens + kappa));
    }
    return mean;
  }

  /// Means of an expert's own tokens, shrunk to the mean over its channels.
  ///
  /// @param kappa tokens that this mean counts as, above 0
  public static float[] evened(InputStats own, double kappa) {
    float[] mean = own.channelMeanSquare();
    double all = 0;
    for (float one : mean) {
      all += one;
    }
    double tokens = own.tokens();
    for (int i = 0; i < mean.length; i++) {
      mean[i] = (float) ((tokens * mean[i] + kappa * all / mean.length) / (tokens + kappa));
    }
    return mean;
  }
}
