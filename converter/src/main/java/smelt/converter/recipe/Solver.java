package smelt.converter.recipe;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/// How the codes and scales of a weight's rows are chosen.
public enum Solver {
  /// From the weights alone, as the target's own rule says.
  ROUNDING,
  /// The scales with the least error weighted by the mean square of each column's input.
  WEIGHTED,
  /// GPTQ with the second moments that all experts of a layer share; with a linear's own where
  /// there is nothing to share.
  GPTQ_POOL,
  /// The same, and then the one scale of each row fitted to the output.
  GPTQ_POOL_RESCALE,
  /// GPTQ with an expert's own second moments, shrunk towards those of the layer.
  GPTQ,
  /// The same, and then the one scale of each row fitted to the output.
  GPTQ_RESCALE;

  /// The name in recipes, such as `gptq-pool`.
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  static Optional<Solver> of(String label) {
    return Arrays.stream(values()).filter(solver -> solver.label().equals(label)).findFirst();
  }

  static List<String> labels() {
    return Arrays.stream(values()).map(Solver::label).toList();
  }

  /// Whether it fits scales to the output at the end.
  public boolean rescales() {
    return this == GPTQ_POOL_RESCALE || this == GPTQ_RESCALE;
  }

  /// Whether it needs second moments, which a calibration may lack.
  public boolean needsHessian() {
    return compareTo(GPTQ_POOL) >= 0;
  }
}
