package smelt.converter.tuning;

import java.io.IOException;
import java.lang.foreign.SegmentAllocator;
import java.util.Optional;
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.observe.Hessian;
import smelt.calibrate.observe.Importance;
import smelt.calibrate.observe.InputStats;
import smelt.calibrate.observe.Site;

/// What was seen at the inputs of a model's linears. Safe for several threads.
public interface Statistics {

  /// What was seen at a site; empty for a site that no token came to.
  Optional<InputStats> stats(Site site) throws IOException;

  /// The second moments of a site, where there are any.
  ///
  /// @param memory `Matrix.bytes(channels, channels)` are taken from it
  Optional<Hessian> hessian(Site site, SegmentAllocator memory) throws IOException;

  /// The second moments of a site's tokens held out, where there are any.
  ///
  /// @param memory `Matrix.bytes(channels, channels)` are taken from it
  Optional<Hessian> heldOutHessian(Site site, SegmentAllocator memory) throws IOException;

  /// The importance of each channel of a site, as [Importance] defines it.
  default Optional<float[]> importance(Site site) throws IOException {
    return Importance.of(this::stats, site);
  }

  /// Those of a table.
  static Statistics of(CalibrationTable table) {
    return new Statistics() {
      @Override
      public Optional<InputStats> stats(Site site) throws IOException {
        return table.stats(site);
      }

      @Override
      public Optional<Hessian> hessian(Site site, SegmentAllocator memory) throws IOException {
        return table.hessian(site, memory);
      }

      @Override
      public Optional<Hessian> heldOutHessian(Site site, SegmentAllocator memory)
          throws IOException {
        return table.heldOutHessian(site, memory);
      }
    };
  }
}
