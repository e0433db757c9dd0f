package smelt.calibrate.allocate;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/// A scheme for each item, and how near it is proven to be to the best there is.
///
/// Errors of items are taken to add up. They do not quite, so whoever uses an allocation measures
/// it, see [NeverWorse].
///
/// @param schemes of the items by their names, in their order
/// @param bytes of all
/// @param error predicted sum
/// @param bound what was minimized, error or bytes, is proven to be at least this
/// @param gap by how much what was minimized may lie above the least possible, relative to `bound`;
///   0 where it is the least
public record Allocation(
    Map<String, Choice> schemes, long bytes, double error, double bound, double gap) {

  /// Sums of bytes up to this are exact in a double.
  private static final long MOST_BYTES = 1L << 53;

  public Allocation {
    schemes = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(schemes));
  }

  /// What can be reached at all, given groups and pins.
  public record Range(long leastBytes, long mostBytes, double leastError) {}

  /// The range of what items can come to; bytes above `mostBytes` make nothing better.
  public static Range range(List<Item> items) {
    long least = 0;
    long most = 0;
    double error = 0;
    for (Bundle bundle : Bundle.of(items)) {
      double best = bundle.choices().stream().mapToDouble(Choice::error).min().orElseThrow();
      error += best;
      least += bundle.choices().stream().mapToLong(Choice::bytes).min().orElseThrow();
      most +=
          bundle.choices().stream()
              .filter(choice -> choice.error() == best)
              .mapToLong(Choice::bytes)
              .min()
              .orElseThrow();
    }
    return new Range(least, most, error);
  }

  /// The least error that fits into so many bytes.
  ///
  /// @throws IllegalArgumentException for fewer bytes than [Range#leastBytes]
  public static Allocation underBudget(List<Item> items, long bytes) {
    return solve(items, Choice::bytes, Choice::error, (double) bytes, Choice::error);
  }

  /// The fewest bytes with no more than so much error.
  ///
  /// @throws IllegalArgumentException for less error than [Range#leastError]
  public static Allocation underError(List<Item> items, double error) {
    return solve(items, Choice::error, Choice::bytes, error, Choice::bytes);
  }

  /// All items in one scheme but those that are pinned. Nothing is minimized, so nothing is proven.
  ///
  /// @throws IllegalArgumentException if an item cannot have it
  public static Allocation uniform(List<Item> items, String scheme) {
    Map<String, Choice> schemes = new LinkedHashMap<>();
    for (Item item : items) {
      schemes.put(item.name(), item.choice(item.pinned().orElse(scheme)));
    }
    double error = schemes.values().stream().mapToDouble(Choice::error).sum();
    return new Allocation(schemes, bytes(schemes), error, 0, Double.POSITIVE_INFINITY);
  }

  private static Allocation solve(
      List<Item> items,
      ToDoubleFunction<Choice> weight,
      ToDoubleFunction<Choice> value,
      double limit,
      ToDoubleFunction<Choice> minimized) {
    List<Bundle> bundles = Bundle.of(items);
    double[][] weights = numbers(bundles, weight);
    double[][] values = numbers(bundles, value);
    Knapsack.Solution solution = Knapsack.solve(weights, values, limit);
    Map<String, Choice> schemes = new LinkedHashMap<>();
    items.forEach(item -> schemes.put(item.name(), item.choices().getFirst()));
    double error = 0;
    double sum = 0;
    for (int b = 0; b < bundles.size(); b++) {
      Choice choice = bundles.get(b).choices().get(solution.points().get(b));
      error += choice.error();
      sum += minimized.applyAsDouble(choice);
      for (int item : bundles.get(b).items()) {
        schemes.put(items.get(item).name(), items.get(item).choice(choice.scheme()));
      }
    }
    return new Allocation(
        schemes, bytes(schemes), error, solution.bound(), gap(sum, solution.bound()));
  }

  private static double gap(double sum, double bound) {
    if (sum <= bound) {
      return 0;
    }
    return bound > 0 ? (sum - bound) / bound : Double.POSITIVE_INFINITY;
  }

  private static long bytes(Map<String, Choice> schemes) {
    return schemes.values().stream().mapToLong(Choice::bytes).reduce(0, Math::addExact);
  }

  private static double[][] numbers(List<Bundle> bundles, ToDoubleFunction<Choice> number) {
    long most = 0;
    for (Bundle bundle : bundles) {
      most += bundle.choices().stream().mapToLong(Choice::bytes).max().orElseThrow();
    }
    if (most > MOST_BYTES) {
      throw new IllegalArgumentException(most + " bytes, sums are exact up to " + MOST_BYTES);
    }
    return bundles.stream()
        .map(bundle -> bundle.choices().stream().mapToDouble(number).toArray())
        .toArray(double[][]::new);
  }
}
