package smelt.verify.tensors;

import java.util.Optional;

/// The smallest and the largest of some decode scales. NaN is neither: the values that it makes are
/// counted as not finite.
final class ScaleRange {

  private float min = Float.POSITIVE_INFINITY;
  private float max = Float.NEGATIVE_INFINITY;
  private boolean empty = true;

  void add(float scale) {
    if (!Float.isNaN(scale)) {
      min = Math.min(min, scale);
      max = Math.max(max, scale);
      empty = false;
    }
  }

  void add(ScaleRange other) {
    if (!other.empty) {
      add(other.min);
      add(other.max);
    }
  }

  Optional<Double> min() {
    return empty ? Optional.empty() : Optional.of((double) min);
  }

  Optional<Double> max() {
    return empty ? Optional.empty() : Optional.of((double) max);
  }
}
