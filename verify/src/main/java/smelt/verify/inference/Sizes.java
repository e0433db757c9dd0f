package smelt.verify.inference;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.verify.quality.RoleSize;

/// Bytes by role in two checkpoints.
final class Sizes {

  private Sizes() {}

  /// In the order in which roles come in the source; those that only the result has come last.
  static List<RoleSize> byRole(Checkpoint source, Checkpoint result) {
    Map<String, RoleSize> sizes = new LinkedHashMap<>();
    for (Weight weight : source.weights()) {
      add(sizes, weight, weight.shape().elements(), weight.bytes(), 0);
    }
    for (Weight weight : result.weights()) {
      add(sizes, weight, 0, 0, weight.bytes());
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
