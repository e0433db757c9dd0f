package smelt.converter.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import smelt.converter.recipe.Recipe;
import smelt.formats.checkpoint.Weight;

/// What a conversion will do, to the byte. Pure data; `PlanJson` writes it, and its digest is the
/// job's name: the same source, recipe and version have the same digest on any machine, with any
/// number of threads and any memory budget.
///
/// @param units the work, in order
/// @param targets what becomes of it
/// @param dropped source tensors that no target gets, each with the reason
/// @param leftOut source files that are not carried, each with the reason
/// @param calibration digest of the calibration that numbers are chosen from
public record Plan(
    SourceSummary source,
    Recipe recipe,
    List<Unit> units,
    List<TargetPlan> targets,
    List<Dropped> dropped,
    List<Dropped> leftOut,
    Optional<String> calibration) {

  public Plan {
    units = List.copyOf(units);
    targets = List.copyOf(targets);
    dropped = List.copyOf(dropped);
    leftOut = List.copyOf(leftOut);
  }

  /// Something of the source that is not in the output.
  public record Dropped(String name, String reason) {

    /// The tensors of a weight, its scales among them.
    static List<Dropped> tensors(Weight weight, String reason) {
      List<Dropped> tensors = new ArrayList<>();
      tensors.add(new Dropped(weight.codes().name(), reason));
      weight.scale().ifPresent(scale -> tensors.add(new Dropped(scale.name(), reason)));
      return tensors;
    }
  }

  /// Bytes of all output files of all targets.
  public long outputBytes() {
    return targets.stream().mapToLong(TargetPlan::bytes).reduce(0, Math::addExact);
  }

  /// Bytes of the source that the units read.
  public long sourceBytes() {
    return units.stream().mapToLong(Unit::sourceBytes).reduce(0, Math::addExact);
  }
}
