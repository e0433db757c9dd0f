package smelt.calibrate.model;

/// How the experts of a token follow from its router logits.
///
/// All rules: where the experts are in more than one group, only the best `keptGroups` groups
/// (consecutive experts, of equal size) are eligible; of those the `chosen` best experts are taken,
/// the lower number first among equals.
public sealed interface RoutingRule {

  int experts();

  /// Experts per token.
  int chosen();

  int groups();

  int keptGroups();

  /// DeepSeek-V3's `noaux_tc`: the score is `sigmoid(logit)`. For the choice alone, a correction
  /// bias is added; a group is as good as the sum of its two best biased scores. The weight is the
  /// unbiased score, divided by the sum over the chosen ones when `renormalised`, times `factor`.
  record BiasedSigmoid(
      int experts, int chosen, int groups, int keptGroups, boolean renormalised, double factor)
      implements RoutingRule {
    public BiasedSigmoid {
      check(experts, chosen, groups, keptGroups);
    }
  }

  /// Softmax over all logits. A group is as good as its best score. The weight is the score,
  /// divided by the sum over the chosen ones when `renormalised`, which leaves no room for a
  /// `factor` but 1, else times `factor`. DeepSeek-V2 `greedy` (one group) and
  /// `group_limited_greedy`, Qwen3-MoE, Mixtral.
  record Softmax(
      int experts, int chosen, int groups, int keptGroups, boolean renormalised, double factor)
      implements RoutingRule {
    public Softmax {
      check(experts, chosen, groups, keptGroups);
      if (renormalised && factor != 1) {
        throw new IllegalArgumentException("renormalised, times " + factor);
      }
    }
  }

  private static void check(int experts, int chosen, int groups, int keptGroups) {
    boolean valid =
        groups >= 1
            && experts % groups == 0
            && keptGroups >= 1
            && keptGroups <= groups
            && chosen >= 1
            && chosen <= experts / groups * keptGroups;
    if (!valid) {
      throw new IllegalArgumentException(
          chosen + " of " + experts + " experts, " + keptGroups + " of " + groups + " groups");
    }
  }
}
