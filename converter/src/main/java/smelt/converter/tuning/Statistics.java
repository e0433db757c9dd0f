package smelt.converter.tuning;

import java.io.IOException;
import java.lang.foreign.SegmentAllocator;
import java.util.Optional;
import java.util.OptionalInt;
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.observe.Hessian;
import smelt.calibrate.observe.Importance;
import smelt.calibrate.observe.InputStats;
import smelt.calibrate.observe.Site;

/// What was seen at the inputs of a model's linears. Safe for several threads.
public interface Statistics {

  /// What was seen at a site; empty for a site that no token came to.
  Optional<InputStats> stats(Site site) throws IOException;

  /// Channels of a site; empty for a site that no token came to.
  OptionalInt channels(Site site) throws IOException;

  /// The second moments of a site, where there are any.
  ///
  /// @param memory `Matrix.bytes(channels, channels)` are taken from it
  Optional<Hessian> hessian(Site site, SegmentAllocator memory) throws IOException;

  /// The importance of each channel of a site, as [Importance] defines it.
  default Optional<float[]> importance(Site site) throws IOException {
    Optional<InputStats> own = stats(site);
    if (!(site instanceof Site.ExpertInput input)) {
      return own.filter(seen -> seen.tokens() > 0).map(InputStats::channelMeanSquare);
    }
    Optional<InputStats> layer = stats(new Site.FeedForwardInput(input.layer()));
    return layer.map(pool ->
        own.map(seen -> Importance.shrunk(seen, pool, Importance.KAPPA))
            .orElseGet(pool::channelMeanSquare));
  }

  /// Those of a table.
  static Statistics of(CalibrationTable table) {
    return new Statistics() {
      @Override
      public Optional<InputStats> stats(Site site) throws IOException {
        return table.stats(site);
      }

      @Override
      public OptionalInt channels(Site site) {
        return table.channels(site);
      }

      @Override
      public Optional<Hessian> hessian(Site site, SegmentAllocator memory) throws IOException {
        return table.hessian(site, memory);
      }

      @Override
      public Optional<float[]> importance(Site site) throws IOException {
        return Importance.of(table, site);
      }
    };
  }
}
