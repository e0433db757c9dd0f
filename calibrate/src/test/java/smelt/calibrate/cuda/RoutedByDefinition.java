package smelt.calibrate.cuda;

import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.RoutingRule;

/// The experts of a token in F64, straight from the words of [RoutingRule].
///
/// @param experts the best first
/// @param margin the least distance between neighbours in rank, of those chosen and the next, and
///   of groups
record RoutedByDefinition(List<Integer> experts, List<Double> weights, double margin) {

  static RoutedByDefinition of(Matrix logits, Matrix bias, RoutingRule rule, long row) {
    int count = rule.experts();
    boolean sigmoid = rule instanceof RoutingRule.BiasedSigmoid;
    double[] scores = new double[count];
    double largest = IntStream.range(0, count).mapToDouble(e -> logits.get(row, e)).max().orElse(0);
    double sum =
        IntStream.range(0, count).mapToDouble(e -> Math.exp(logits.get(row, e) - largest)).sum();
    double[] ranked = new double[count];
    for (int e = 0; e < count; e++) {
      double logit = logits.get(row, e);
      scores[e] = sigmoid ? 1 / (1 + Math.exp(-logit)) : Math.exp(logit - largest) / sum;
      ranked[e] = scores[e] + (sigmoid ? bias.get(0, e) : 0);
    }
    int size = count / rule.groups();
    double[] groups = new double[rule.groups()];
    for (int g = 0; g < groups.length; g++) {
      groups[g] =
          IntStream.range(g * size, (g + 1) * size)
              .mapToObj(e -> ranked[e])
              .sorted(Comparator.reverseOrder())
              .limit(sigmoid ? 2 : 1)
              .mapToDouble(Double::doubleValue)
              .sum();
    }
    List<Integer> byGroup = order(groups, IntStream.range(0, groups.length).boxed().toList());
    List<Integer> kept = byGroup.subList(0, rule.keptGroups());
    List<Integer> eligible =
        order(
            ranked,
            IntStream.range(0, count).filter(e -> kept.contains(e / size)).boxed().toList());
    List<Integer> chosen = eligible.subList(0, rule.chosen());
    double total = chosen.stream().mapToDouble(e -> scores[e]).sum();
    double margin =
        Math.min(
            least(ranked, eligible, rule.chosen()),
            rule.keptGroups() == groups.length
                ? Double.POSITIVE_INFINITY
                : groups[byGroup.get(rule.keptGroups() - 1)]
                    - groups[byGroup.get(rule.keptGroups())]);
    List<Double> weights = chosen.stream().map(e -> weight(rule, scores[e], total)).toList();
    return new RoutedByDefinition(List.copyOf(chosen), weights, margin);
  }

  private static List<Integer> order(double[] values, List<Integer> places) {
    return places.stream()
        .sorted(Comparator.comparingDouble((Integer place) -> -values[place]))
        .toList();
  }

  private static double least(double[] values, List<Integer> order, int chosen) {
    return IntStream.range(0, Math.min(chosen, order.size() - 1))
        .mapToDouble(rank -> values[order.get(rank)] - values[order.get(rank + 1)])
        .min()
        .orElse(Double.POSITIVE_INFINITY);
  }

  private static double weight(RoutingRule rule, double score, double total) {
    return switch (rule) {
      case RoutingRule.BiasedSigmoid r ->
          (r.renormalised() ? score / (total + 1e-20) : score) * r.factor();
      case RoutingRule.Softmax r ->
          (r.renormalised() ? score / (total + 1e-20) : score) * r.factor();
    };
  }
}
