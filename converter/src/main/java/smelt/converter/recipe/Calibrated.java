package smelt.converter.recipe;

import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import smelt.calibrate.smooth.Pair;
import smelt.formats.checkpoint.Weight;
import tools.jackson.databind.node.ObjectNode;

/// What of a target is chosen from a calibration, beside the weights.
///
/// @param solvers the first that names a weight holds; a weight that none names is rounded
/// @param smooth pairs between which factors pass from inputs to weights
/// @param importance whether blocks of GGUF are chosen by the mean square of each column's input
/// @param staticInputs whether inputs of attention are rounded with scales that are known
///   beforehand
public record Calibrated(
    List<Rule> solvers, Set<Pair.Kind> smooth, boolean importance, boolean staticInputs) {

  /// Nothing: the weights alone decide.
  public static final Calibrated NOTHING = new Calibrated(List.of(), Set.of(), false, false);

  /// A solver for some weights; for all without a selector.
  public record Rule(Optional<Selector> selector, Solver solver) {
    boolean names(Weight weight) {
      return selector.isEmpty() || selector.get().matches(weight.role(), weight.name());
    }
  }

  public Calibrated {
    solvers = List.copyOf(solvers);
    Set<Pair.Kind> kinds = EnumSet.noneOf(Pair.Kind.class);
    kinds.addAll(smooth);
    smooth = Collections.unmodifiableSet(kinds);
  }

  public boolean isNothing() {
    return !importance && !staticInputs && smooth.isEmpty() && strongest() == Solver.ROUNDING;
  }

  /// Whether second moments are needed.
  public boolean needsHessians() {
    return strongest().needsHessian();
  }

  /// The solver of a weight.
  public Solver solver(Weight weight) {
    return solvers.stream()
        .filter(rule -> rule.names(weight))
        .map(Rule::solver)
        .findFirst()
        .orElse(Solver.ROUNDING);
  }

  private Solver strongest() {
    return solvers.stream().map(Rule::solver).max(Solver::compareTo).orElse(Solver.ROUNDING);
  }

  /// What sets a folder apart from that of the same target without calibration.
  String suffix() {
    Solver solver = strongest();
    return (smooth.isEmpty() ? "" : "-smooth")
        + (solver == Solver.ROUNDING ? "" : "-" + solver.label())
        + (importance ? "-importance" : "")
        + (staticInputs ? "-static" : "");
  }

  /// Adds what is not as without calibration.
  void addTo(ObjectNode entry) {
    if (!solvers.isEmpty()) {
      ObjectNode map = entry.putObject("solver");
      solvers.forEach(rule ->
          map.put(rule.selector().map(Selector::text).orElse("all"), rule.solver().label()));
    }
    if (!smooth.isEmpty()) {
      smooth.forEach(kind -> entry.withArray("smooth").add(kind.label()));
    }
    if (importance) {
      entry.put("importance", true);
    }
    if (staticInputs) {
      entry.put("activations", "static");
    }
  }
}
