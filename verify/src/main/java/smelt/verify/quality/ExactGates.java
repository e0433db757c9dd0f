package smelt.verify.quality;

import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import smelt.verify.quality.Gate.Outcome;

/// Gates on what is measured whole: every written weight, and what differs beside the weights.
final class ExactGates {

  static final int NAMED = 3;
  private static final String NO_TENSORS = "no weight was compared";

  private final List<TensorScore> tensors;
  private final ModelChanges changes;

  ExactGates(Evidence evidence) {
    tensors = evidence.tensors();
    changes = evidence.changes();
  }

  /// Over all weights: one that is kept as it was has an infinite SQNR unless it was damaged.
  Gate weightSqnr(double bound) {
    if (tensors.isEmpty()) {
      return skipped(Metric.WEIGHT_SQNR, bound, NO_TENSORS);
    }
    List<TensorScore> worst = worstTensors(tensors, NAMED);
    double value = worst.isEmpty() ? Double.POSITIVE_INFINITY : sqnr(worst.getFirst());
    String detail = named(worst, TensorScore::tensor, ExactGates::sqnr);
    return exact(Metric.WEIGHT_SQNR, bound, value, detail);
  }

  Gate bitExact(double bound) {
    if (tensors.isEmpty()) {
      return skipped(Metric.BIT_EXACT, bound, NO_TENSORS);
    }
    List<String> changed =
        Stream.of(
                tensors.stream().filter(score -> !score.bitExact()).map(TensorScore::tensor),
                changes.lost().stream(),
                changes.added().stream())
            .flatMap(names -> names)
            .toList();
    int all = Math.addExact(tensors.size(), changes.unpaired());
    double value = (double) (all - changed.size()) / all;
    return exact(Metric.BIT_EXACT, bound, value, of(changed, all, "weights differ"));
  }

  /// Config, files, and weights that only one model has.
  Gate modelChanges(double bound) {
    List<String> faults = changes.faults();
    String detail = faults.isEmpty() ? "" : first(faults, faults.size());
    return exact(Metric.MODEL_CHANGES, bound, (double) faults.size(), detail);
  }

  Gate nonFinite(double bound) {
    if (tensors.isEmpty()) {
      return skipped(Metric.NON_FINITE, bound, NO_TENSORS);
    }
    List<TensorScore> broken = tensors.stream().filter(tensor -> tensor.nonFinite() > 0).toList();
    long count = broken.stream().mapToLong(TensorScore::nonFinite).reduce(0, Math::addExact);
    List<String> names = broken.stream().map(TensorScore::tensor).toList();
    return exact(Metric.NON_FINITE, bound, (double) count, of(names, tensors.size(), "weights"));
  }

  /// The lowest SQNR first; those that do not differ are left out. What is not finite is worst.
  static List<TensorScore> worstTensors(List<TensorScore> tensors, int most) {
    List<TensorScore> differing =
        tensors.stream().filter(tensor -> sqnr(tensor) != Double.POSITIVE_INFINITY).toList();
    return lowest(differing, ExactGates::sqnr, most);
  }

  /// Those with the lowest figure, the lowest first.
  static <T> List<T> lowest(List<T> scores, ToDoubleFunction<T> figure, int most) {
    // NaN is worse than every number, where Double.compare has it as the largest.
    Comparator<T> nanFirst =
        Comparator.comparing((T score) -> !Double.isNaN(figure.applyAsDouble(score)));
    return scores.stream().sorted(nanFirst.thenComparingDouble(figure)).limit(most).toList();
  }

  private static double sqnr(TensorScore tensor) {
    return tensor.nonFinite() > 0 ? Double.NaN : tensor.sqnrDb();
  }

  static <T> String named(List<T> worst, Function<T, String> name, ToDoubleFunction<T> figure) {
    return worst.isEmpty()
        ? "nothing differs"
        : worst.stream()
            .map(score ->
                String.format(
                    Locale.ROOT, "%s %.1f dB", name.apply(score), figure.applyAsDouble(score)))
            .collect(Collectors.joining(", ", "worst: ", ""));
  }

  /// Such as `2 of 100 weights differ: a, b`.
  private static String of(List<String> names, int all, String what) {
    String count = Figures.count(names.size()) + " of " + Figures.count(all) + " " + what;
    return names.isEmpty() ? count : count + ": " + first(names, names.size());
  }

  private static String first(List<String> names, int count) {
    String shown = String.join(", ", names.subList(0, Math.min(NAMED, count)));
    return count > NAMED ? shown + ", and " + Figures.count(count - NAMED) + " more" : shown;
  }

  static Gate exact(Metric metric, double bound, double value, String detail) {
    Outcome outcome = Decision.holds(metric, value, bound) ? Outcome.PASS : Outcome.FAIL;
    return new Gate(metric, bound, value, OptionalDouble.empty(), outcome, detail);
  }

  static Gate skipped(Metric metric, double bound, String why) {
    return new Gate(metric, bound, Double.NaN, OptionalDouble.empty(), Outcome.SKIPPED, why);
  }
}
