package smelt.calibrate.model;

/// Chooses the experts of one token at a time, as [RoutingRule] says.
///
/// The margin of a choice is how much the scores that decide it would have to move for another
/// choice: the smaller of the distance between the last chosen expert and the best one that was
/// eligible but not chosen, and of that between the last eligible group and the best other one.
final class Router {

  private final RoutingRule rule;
  private final float[] bias;
  private final float[] scores;
  private final float[] ranked;
  private final float[] groupScores;
  private final int[] order;
  private final int[] groupOrder;

  /// @param bias added to the scores for the choice; none for rules without one
  Router(RoutingRule rule, float[] bias) {
    this.rule = rule;
    this.bias = bias;
    scores = new float[rule.experts()];
    ranked = new float[rule.experts()];
    groupScores = new float[rule.groups()];
    order = new int[Math.min(rule.experts(), rule.chosen() + 1)];
    groupOrder = new int[Math.min(rule.groups(), rule.keptGroups() + 1)];
  }

  /// Chooses for a token and writes the choice to `into`.
  void choose(float[] logits, Routing into, long token) {
    score(logits);
    float margin = keepGroups();
    int found = best(ranked, order);
    if (found > rule.chosen()) {
      margin = Math.min(margin, ranked[order[rule.chosen() - 1]] - ranked[order[rule.chosen()]]);
    }
    into.setMargin(token, margin);
    weigh(order, into, token);
  }

  /// The scores of the token that was chosen for last, one for each expert.
  float[] scores() {
    return scores;
  }

  /// Takes the experts that `forced` has for the token, with weights from these logits. The margin
  /// is 0.
  void follow(float[] logits, Forced forced, Routing into, long token) {
    score(logits);
    int[] experts = new int[rule.chosen()];
    for (int rank = 0; rank < experts.length; rank++) {
      experts[rank] = forced.expert(token, rank);
    }
    weigh(experts, into, token);
  }

  private void score(float[] logits) {
    switch (rule) {
      case RoutingRule.BiasedSigmoid _ -> {
        for (int e = 0; e < scores.length; e++) {
          scores[e] = (float) (1 / (1 + Math.exp(-logits[e])));
          ranked[e] = scores[e] + bias[e];
        }
      }
      case RoutingRule.Softmax _ -> {
        softmax(logits);
        System.arraycopy(scores, 0, ranked, 0, scores.length);
      }
    }
  }

  private void softmax(float[] logits) {
    float max = Float.NEGATIVE_INFINITY;
    for (float logit : logits) {
      max = Math.max(max, logit);
    }
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit - max);
    }
    for (int e = 0; e < scores.length; e++) {
      scores[e] = (float) (Math.exp(logits[e] - max) / sum);
    }
  }

  /// Makes the experts of all but the best groups ineligible; returns the margin of that.
  private float keepGroups() {
    if (rule.groups() == rule.keptGroups()) {
      return Float.POSITIVE_INFINITY;
    }
    int size = rule.experts() / rule.groups();
    for (int g = 0; g < groupScores.length; g++) {
      groupScores[g] = groupScore(g * size, size);
    }
    best(groupScores, groupOrder);
    boolean[] kept = new boolean[rule.groups()];
    for (int i = 0; i < rule.keptGroups(); i++) {
      kept[groupOrder[i]] = true;
    }
    for (int e = 0; e < ranked.length; e++) {
      if (!kept[e / size]) {
        ranked[e] = Float.NEGATIVE_INFINITY;
      }
    }
    return groupScores[groupOrder[rule.keptGroups() - 1]]
        - groupScores[groupOrder[rule.keptGroups()]];
  }

  private float groupScore(int first, int size) {
    float best = Float.NEGATIVE_INFINITY;
    float second = Float.NEGATIVE_INFINITY;
    for (int e = first; e < first + size; e++) {
      if (ranked[e] > best) {
        second = best;
        best = ranked[e];
      } else if (ranked[e] > second) {
        second = ranked[e];
      }
    }
    return switch (rule) {
      case RoutingRule.BiasedSigmoid _ -> size == 1 ? best : best + second;
      case RoutingRule.Softmax _ -> best;
    };
  }

  /// Fills `into` with the places of the largest values above negative infinity, best first, the
  /// lower place first among equals; returns how many there are.
  private static int best(float[] values, int[] into) {
    int found = 0;
    for (int i = 0; i < values.length; i++) {
      if (values[i] == Float.NEGATIVE_INFINITY) {
        continue;
      }
      int at = found;
      while (at > 0 && values[i] > values[into[at - 1]]) {
        at--;
      }
      if (at < into.length) {
        int moved = Math.min(found, into.length - 1) - at;
        System.arraycopy(into, at, into, at + 1, moved);
        into[at] = i;
        found = Math.min(found + 1, into.length);
      }
    }
    return found;
  }

  private void weigh(int[] experts, Routing into, long token) {
    float sum = 0;
    for (int rank = 0; rank < rule.chosen(); rank++) {
      sum += scores[experts[rank]];
    }
    for (int rank = 0; rank < rule.chosen(); rank++) {
      into.set(token, rank, experts[rank], weight(scores[experts[rank]], sum));
    }
  }

  private float weight(float score, float sum) {
    return switch (rule) {
      case RoutingRule.BiasedSigmoid r ->
          (float) ((r.renormalised() ? score / (sum + 1e-20f) : score) * r.factor());
      case RoutingRule.Softmax r ->
          r.renormalised() ? score / (sum + 1e-20f) : (float) (score * r.factor());
    };
  }
}
