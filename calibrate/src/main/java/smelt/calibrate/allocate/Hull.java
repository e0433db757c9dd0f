package smelt.calibrate.allocate;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/// The points of one bundle that matter: weights rise and values fall.
///
/// @param kept numbers of the points that no other point is as good as, by weight
/// @param corners those of the kept that lie on the lower convex hull; the first and the last do
record Hull(List<Integer> kept, List<Integer> corners) {

  static Hull of(double[] weights, double[] values) {
    List<Integer> kept = new ArrayList<>();
    IntStream.range(0, weights.length)
        .boxed()
        .sorted(
            Comparator.<Integer>comparingDouble(i -> weights[i])
                .thenComparingDouble(i -> values[i])
                .thenComparingInt(i -> i))
        .filter(i -> kept.isEmpty() || values[i] < values[kept.getLast()])
        .forEachOrdered(kept::add);
    List<Integer> corners = new ArrayList<>();
    for (int point : kept) {
      while (corners.size() > 1
          && ratio(corners.get(corners.size() - 2), corners.getLast(), weights, values)
              <= ratio(corners.getLast(), point, weights, values)) {
        corners.removeLast();
      }
      corners.add(point);
    }
    return new Hull(List.copyOf(kept), List.copyOf(corners));
  }

  /// What a unit of weight takes off the value on the way from one point to another.
  static double ratio(int from, int to, double[] weights, double[] values) {
    return (values[from] - values[to]) / (weights[to] - weights[from]);
  }
}
