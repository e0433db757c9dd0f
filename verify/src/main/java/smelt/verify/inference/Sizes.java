package smelt.verify.inference;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import smelt.formats.checkpoint.Weight;
import smelt.verify.quality.RoleSize;

/// Bytes by role in two checkpoints.
final class Sizes {

  private Sizes() {}

  /// In the order in which roles come in the source; those that only the result has come last.
  static List<RoleSize> byRole(Verification.Model source, Verification.Model result) {
    Map<String, RoleSize> sizes = new LinkedHashMap<>();
    for (Weight weight : source.checkpoint().weights()) {
      add(sizes, weight, weight.shape().elements(), source.stored().applyAsLong(weight), 0);
    }
    for (Weight weight : result.checkpoint().weights()) {
      add(sizes, weight, 0, 0, result.stored().applyAsLong(weight));
    }
    return List.copyOf(sizes.values());
  }

  private static void add(
      Map<String, RoleSize> sizes, Weight weight, long parameters, long source, long result) {
    sizes.merge(
        weight.role().label(),
        new RoleSize(weight.role().label(), parameters, source, result),
        (a, b) ->
            new RoleSize(
                a.role(),
                Math.addExact(a.parameters(), b.parameters()),
                Math.addExact(a.sourceBytes(), b.sourceBytes()),
                Math.addExact(a.resultBytes(), b.resultBytes())));
  }
}
