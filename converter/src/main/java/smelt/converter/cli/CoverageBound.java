package smelt.converter.cli;

import java.util.Collection;
import java.util.Optional;
import java.util.OptionalLong;
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.observe.Coverage;
import smelt.converter.recipe.BoundsSpec;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.TargetSpec;

/// The bound `coverage` of a recipe: fewest tokens that any expert may have seen in the calibration
/// that numbers are chosen from. Targets that are not chosen by one are not held to it.
final class CoverageBound {

  private CoverageBound() {}

  /// The same for what numbers are chosen from. An importance matrix is not judged: it tells tokens
  /// of experts in its own way.
  static Optional<String> failure(Recipe recipe, ChosenBy by) {
    return switch (by) {
      case ChosenBy.Table(CalibrationTable table) -> failure(recipe, table.coverage());
      case ChosenBy.Matrix _ -> Optional.empty();
    };
  }

  /// Says by how much the strictest bound of a recipe fails; empty where it holds, or there is
  /// none.
  ///
  /// @param coverage of each layer
  static Optional<String> failure(Recipe recipe, Collection<Coverage> coverage) {
    OptionalLong bound =
        recipe.targets().stream()
            .filter(target -> !target.calibrated().isNothing())
            .map(TargetSpec::bounds)
            .flatMap(Optional::stream)
            .map(BoundsSpec::coverage)
            .flatMapToLong(OptionalLong::stream)
            .max();
    return bound.isEmpty() ? Optional.empty() : failure(recipe.name(), bound.getAsLong(), coverage);
  }

  private static Optional<String> failure(
      String recipe, long bound, Collection<Coverage> coverage) {
    long below = coverage.stream().mapToLong(layer -> layer.below(bound)).sum();
    if (below == 0) {
      return Optional.empty();
    }
    Coverage worst =
        coverage.stream()
            .filter(layer -> layer.below(bound) > 0)
            .min((a, b) -> Long.compare(a.least(), b.least()))
            .orElseThrow();
    int expert = 0;
    while (worst.experts().get(expert).tokens() > worst.least()) {
      expert++;
    }
    return Optional.of(
        "coverage: recipe "
            + recipe
            + " wants "
            + bound
            + " tokens or more for each expert, and "
            + below
            + (below == 1 ? " expert" : " experts")
            + " saw fewer; layer "
            + worst.layer()
            + ", expert "
            + expert
            + " saw "
            + worst.least()
            + "; calibrate on more or other text");
  }
}
