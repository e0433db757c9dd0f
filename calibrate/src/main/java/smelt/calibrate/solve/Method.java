package smelt.calibrate.solve;

import java.util.Objects;

/// How codes and scales of a row are chosen.
public sealed interface Method {

  /// As codecs do it, from the weights alone, see [RowSolver].
  record Rounding() implements Method {}

  /// Each number to the nearest code, with the scale that leaves the least `sum h (x - scale
  /// code)^2` of all that can be stored.
  final class Weighted implements Method {

    private final float[] importance;

    /// @param importance the weight `h` of each column, such as the mean square of its input;
    ///   finite, not negative; copied. Where a group has none but zeros all its columns count alike
    public Weighted(float[] importance) {
      for (int i = 0; i < importance.length; i++) {
        if (!(importance[i] >= 0 && importance[i] <= Float.MAX_VALUE)) {
          throw new IllegalArgumentException(
              "importance of column " + i + " is " + importance[i] + ", expected 0 or more");
        }
      }
      this.importance = importance.clone();
    }

    float[] importance() {
      return importance;
    }
  }

  /// GPTQ: numbers are rounded one column after the other, and each column first takes up the
  /// errors of those before it, as the second moments of the input say. Scales are those of
  /// [Weighted], with the diagonal of the second moments as importance.
  ///
  /// @param scales when scales are chosen
  record Gptq(HessianFactor factor, Scales scales) implements Method {
    public Gptq {
      Objects.requireNonNull(factor);
      if (scales == Scales.AT_GROUP_START && factor.order() != ColumnOrder.GIVEN) {
        throw new IllegalArgumentException(
            "scales at the start of a group need the given order of columns, this is "
                + factor.order());
      }
    }

    /// Scales from the weights as they are, which any order of columns allows.
    public Gptq(HessianFactor factor) {
      this(factor, Scales.BEFOREHAND);
    }

    /// When the scales of a row are chosen.
    public enum Scales {
      /// From the weights as they are.
      BEFOREHAND,
      /// For each group when its first column's turn comes, from weights that have taken up the
      /// errors of all groups before. Groups must divide [HessianFactor#BLOCK].
      AT_GROUP_START
    }
  }
}
