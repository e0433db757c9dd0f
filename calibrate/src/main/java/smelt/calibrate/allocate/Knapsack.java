package smelt.calibrate.allocate;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/// One point of each bundle, so that the sum of values is least and the sum of weights at most
/// `limit`.
///
/// Steps along the lower convex hulls are taken in the order of what a unit of weight takes off,
/// until one does not fit; its ratio is the multiplier `r` of the Lagrangian
///
///     D(r) = sum over bundles of min (value + r weight) - r limit
///
/// which is at most the least sum there is, for any `r >= 0`. What weight is left goes to whatever
/// step fits and takes off most for its weight. Then points are left out whose reduced cost, the
/// excess of `value + r weight` over its bundle's least, is more than the sum found lies above
/// `D`: no better solution has them. What remains is searched, up to a number of steps.
///
/// Ties go to the bundle and point that come first, so equal input has equal results.
final class Knapsack {

  /// @param points the number of each bundle's point
  /// @param bound proven: no sum of values is less
  record Solution(List<Integer> points, double bound) {}

  private record Step(int bundle, int to, double ratio) {}

  private final double[][] weights;
  private final double[][] values;
  private final double limit;
  private final List<Hull> hulls = new ArrayList<>();
  private final int[] points;
  private double multiplier;

  private Knapsack(double[][] weights, double[][] values, double limit) {
    this.weights = weights;
    this.values = values;
    this.limit = limit;
    points = new int[weights.length];
    for (int b = 0; b < weights.length; b++) {
      hulls.add(Hull.of(weights[b], values[b]));
      points[b] = hulls.get(b).corners().getFirst();
    }
  }

  /// @throws IllegalArgumentException if not even the least weights fit
  static Solution solve(double[][] weights, double[][] values, double limit) {
    Knapsack knapsack = new Knapsack(weights, values, limit);
    if (knapsack.sum(weights) > limit) {
      throw new IllegalArgumentException(knapsack.sum(weights) + " at least, of " + limit);
    }
    knapsack.walk();
    knapsack.fill();
    return knapsack.search();
  }

  /// In the order of the bundles, so that equal choices have equal sums.
  private double sum(double[][] of) {
    double sum = 0;
    for (int b = 0; b < points.length; b++) {
      sum += of[b][points[b]];
    }
    return sum;
  }

  private boolean fits(int bundle, int to) {
    int before = points[bundle];
    points[bundle] = to;
    boolean fits = sum(weights) <= limit;
    points[bundle] = before;
    return fits;
  }

  private void walk() {
    List<Step> steps = new ArrayList<>();
    for (int b = 0; b < points.length; b++) {
      List<Integer> corners = hulls.get(b).corners();
      for (int i = 1; i < corners.size(); i++) {
        double ratio = Hull.ratio(corners.get(i - 1), corners.get(i), weights[b], values[b]);
        steps.add(new Step(b, corners.get(i), ratio));
      }
    }
    // Stable: steps of a bundle stay in their order, as their ratios fall.
    steps.sort(Comparator.comparingDouble(Step::ratio).reversed());
    for (Step step : steps) {
      if (!fits(step.bundle, step.to)) {
        multiplier = step.ratio;
        return;
      }
      points[step.bundle] = step.to;
    }
  }

  private void fill() {
    boolean found = true;
    while (found) {
      Step best = new Step(-1, -1, 0);
      for (int b = 0; b < points.length; b++) {
        int from = points[b];
        for (int to : hulls.get(b).kept()) {
          if (values[b][to] < values[b][from]) {
            double ratio = Hull.ratio(from, to, weights[b], values[b]);
            if (ratio > best.ratio && fits(b, to)) {
              best = new Step(b, to, ratio);
            }
          }
        }
      }
      found = best.bundle >= 0;
      if (found) {
        points[best.bundle] = best.to;
      }
    }
  }

  private double priced(int bundle, int point) {
    return values[bundle][point] + multiplier * weights[bundle][point];
  }

  private double least(int bundle) {
    return hulls.get(bundle).kept().stream()
        .mapToDouble(p -> priced(bundle, p))
        .min()
        .orElseThrow();
  }

  private Solution search() {
    double dual = 0;
    for (int b = 0; b < points.length; b++) {
      dual += least(b);
    }
    dual -= multiplier * limit;
    double found = sum(values);
    Search search = new Search(found - dual);
    search.run();
    boolean all = search.isComplete();
    double best = Math.min(found, search.bestSum);
    return new Solution(
        Arrays.stream(search.best).boxed().toList(), all ? best : Math.min(dual, best));
  }

  /// Depth first over the bundles of which more than one point is left, those with most first.
  private final class Search {

    private static final long STEPS = 4_000_000;

    /// Sums in another order differ by less; what is found is summed again.
    private static final double ROUNDING = 1e-12;

    /// With more bundles than so many to decide there is no use in searching.
    private static final int MOST_BUNDLES = 1_000;

    private record Candidate(int point, double excess) {}

    private final List<List<Candidate>> candidates = new ArrayList<>();
    private final List<Integer> order = new ArrayList<>();
    private final double[] lightest;
    private final int[] chosen;
    private int[] best = points.clone();
    private double bestSum = sum(values);
    private double room;
    private double decided;
    private long left = STEPS;

    Search(double gap) {
      room = gap;
      chosen = points.clone();
      for (int b = 0; b < points.length; b++) {
        candidates.add(candidates(b));
        if (candidates.get(b).size() == 1) {
          chosen[b] = candidates.get(b).getFirst().point;
          decided += weights[b][chosen[b]];
        } else {
          order.add(b);
        }
      }
      order.sort(Comparator.<Integer>comparingInt(b -> candidates.get(b).size()).reversed());
      lightest = new double[order.size() + 1];
      for (int i = order.size() - 1; i >= 0; i--) {
        int b = order.get(i);
        double own =
            candidates.get(b).stream().mapToDouble(c -> weights[b][c.point]).min().orElseThrow();
        lightest[i] = lightest[i + 1] + own;
      }
    }

    /// Never empty: the least has no excess, and it stays even if rounding made the gap negative.
    private List<Candidate> candidates(int bundle) {
      double least = least(bundle);
      double slack = Math.max(0, room);
      return hulls.get(bundle).kept().stream()
          .map(p -> new Candidate(p, priced(bundle, p) - least))
          .filter(c -> c.excess <= slack)
          .sorted(Comparator.comparingDouble(Candidate::excess))
          .toList();
    }

    boolean isComplete() {
      return left > 0 && order.size() <= MOST_BUNDLES;
    }

    void run() {
      if (isComplete()) {
        descend(0, 0, decided);
      }
    }

    private void descend(int depth, double excess, double weight) {
      if (depth == order.size()) {
        offer();
        return;
      }
      int bundle = order.get(depth);
      for (Candidate candidate : candidates.get(bundle)) {
        if (--left <= 0 || excess + candidate.excess >= room) {
          return;
        }
        double heavier = weight + weights[bundle][candidate.point];
        if (heavier + lightest[depth + 1] <= limit * (1 + ROUNDING)) {
          chosen[bundle] = candidate.point;
          descend(depth + 1, excess + candidate.excess, heavier);
        }
      }
    }

    private void offer() {
      double weight = 0;
      double value = 0;
      for (int b = 0; b < chosen.length; b++) {
        weight += weights[b][chosen[b]];
        value += values[b][chosen[b]];
      }
      if (weight <= limit && value < bestSum) {
        room -= bestSum - value;
        bestSum = value;
        best = chosen.clone();
      }
    }
  }
}
