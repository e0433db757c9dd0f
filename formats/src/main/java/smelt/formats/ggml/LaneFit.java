package smelt.formats.ggml;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/// [AffineFit] and [SymmetricFit] for as many groups at once as a vector has lanes. Each lane does
/// what the scalar code does for one group, in its order: the elements of the groups lie across, so
/// that sums are never taken along a vector, and the numbers are the same to the bit.
///
/// Vectors live inside single loops; what goes from one to the next is in arrays.
final class LaneFit {

  private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
  static final int LANES = F.length();

  private static final int LOW_BITS = 0x7FFFFF;
  private static final int ZERO = 0x400000;

  private final int size;

  /// Elements, weights and codes: element `i` of group `g` is number `i LANES + g`.
  private final float[] x;

  private final float[] w;
  private final float[] l;

  private final float[] least = new float[LANES];
  private final float[] most = new float[LANES];
  private final float[] sumW = new float[LANES];
  private final float[] sumX = new float[LANES];
  private final float[] factor = new float[LANES];
  private final float[] sumL = new float[LANES];
  private final float[] sumL2 = new float[LANES];
  private final float[] sumXl = new float[LANES];
  private final float[] scale = new float[LANES];
  private final float[] best = new float[LANES];
  private final float[] bestFactor = new float[LANES];
  private final float[] bestLeast = new float[LANES];
  private final float[] nextScale = new float[LANES];
  private final float[] nextLeast = new float[LANES];
  private final float[] error = new float[LANES];

  /// @param size elements of a group
  LaneFit(int size) {
    this.size = size;
    x = new float[size * LANES];
    w = new float[size * LANES];
    l = new float[size * LANES];
  }

  /// Lays groups across; the last one also in lanes that are left.
  private void load(float[] from, int group, int groups, float[] to) {
    for (int lane = 0; lane < LANES; lane++) {
      int at = (group + Math.min(lane, groups - 1)) * size;
      for (int i = 0; i < size; i++) {
        to[i * LANES + lane] = from[at + i];
      }
    }
  }

  private void store(int middle, int group, int groups, byte[] codes) {
    for (int lane = 0; lane < groups; lane++) {
      int at = (group + lane) * size;
      for (int i = 0; i < size; i++) {
        codes[at + i] = (byte) ((int) l[i * LANES + lane] + middle);
      }
    }
  }

  /// The same as [AffineFit#fit] for `groups` groups from `group` on. Groups whose elements are all
  /// the same need no case of their own: the first factor is infinite, its products are no numbers,
  /// and the codes of those are 0.
  void affine(
      AffineFit fit,
      float[] values,
      float[] weights,
      int group,
      int groups,
      byte[] codes,
      float[] mins,
      float[] scales) {
    load(values, group, groups, x);
    load(weights, group, groups, w);
    extremes();
    for (int lane = 0; lane < LANES; lane++) {
      factor[lane] = fit.largest() / (most[lane] - least[lane]);
      scale[lane] = 1 / factor[lane];
    }
    System.arraycopy(factor, 0, bestFactor, 0, LANES);
    System.arraycopy(least, 0, bestLeast, 0, LANES);
    codes(fit.largest(), factor, least);
    error(fit.absolute(), scale, least, best);
    for (int s = 0; s <= fit.steps(); s++) {
      float numerator = fit.first() + fit.step() * s + fit.largest();
      for (int lane = 0; lane < LANES; lane++) {
        factor[lane] = numerator / (most[lane] - least[lane]);
      }
      codes(fit.largest(), factor, least);
      sums();
      solve();
      error(fit.absolute(), nextScale, nextLeast, error);
      keep();
    }
    codes(fit.largest(), bestFactor, bestLeast);
    store(0, group, groups, codes);
    for (int lane = 0; lane < groups; lane++) {
      mins[group + lane] = -least[lane];
      scales[group + lane] = scale[lane];
    }
  }

  private void extremes() {
    FloatVector low = FloatVector.fromArray(F, x, 0);
    FloatVector high = low;
    FloatVector weights = FloatVector.zero(F);
    FloatVector products = FloatVector.zero(F);
    for (int i = 0; i < x.length; i += LANES) {
      FloatVector value = FloatVector.fromArray(F, x, i);
      FloatVector weight = FloatVector.fromArray(F, w, i);
      low = low.blend(value, value.compare(VectorOperators.LT, low));
      high = high.blend(value, value.compare(VectorOperators.GT, high));
      weights = weights.add(weight);
      products = products.add(weight.mul(value));
    }
    low = low.blend(0f, low.compare(VectorOperators.GT, 0f));
    low.intoArray(least, 0);
    high.intoArray(most, 0);
    weights.intoArray(sumW, 0);
    products.intoArray(sumX, 0);
  }

  /// Codes from 0 to `largest`, as numbers.
  private void codes(int largest, float[] factors, float[] leasts) {
    FloatVector by = FloatVector.fromArray(F, factors, 0);
    FloatVector from = FloatVector.fromArray(F, leasts, 0);
    for (int i = 0; i < x.length; i += LANES) {
      IntVector bits =
          by.mul(FloatVector.fromArray(F, x, i).sub(from))
              .add(Round.TO_INTEGER)
              .reinterpretAsInts();
      IntVector code = bits.and(LOW_BITS).sub(ZERO).min(largest).max(0);
      ((FloatVector) code.convertShape(VectorOperators.I2F, F, 0)).intoArray(l, i);
    }
  }

  private void sums() {
    FloatVector first = FloatVector.zero(F);
    FloatVector squares = FloatVector.zero(F);
    FloatVector products = FloatVector.zero(F);
    for (int i = 0; i < x.length; i += LANES) {
      FloatVector code = FloatVector.fromArray(F, l, i);
      FloatVector weighted = FloatVector.fromArray(F, w, i).mul(code);
      first = first.add(weighted);
      squares = squares.add(weighted.mul(code));
      products = products.add(weighted.mul(FloatVector.fromArray(F, x, i)));
    }
    first.intoArray(sumL, 0);
    squares.intoArray(sumL2, 0);
    products.intoArray(sumXl, 0);
  }

  /// Scale and least value with the least squares; a scale that is not a number where there is
  /// none.
  private void solve() {
    for (int lane = 0; lane < LANES; lane++) {
      float determinant = sumW[lane] * sumL2[lane] - sumL[lane] * sumL[lane];
      float thisScale = (sumW[lane] * sumXl[lane] - sumX[lane] * sumL[lane]) / determinant;
      float thisLeast = (sumL2[lane] * sumX[lane] - sumL[lane] * sumXl[lane]) / determinant;
      boolean above = thisLeast > 0;
      thisScale = above ? sumXl[lane] / sumL2[lane] : thisScale;
      nextLeast[lane] = above ? 0 : thisLeast;
      nextScale[lane] = determinant > 0 ? thisScale : Float.NaN;
    }
  }

  private void error(boolean absolute, float[] scales, float[] leasts, float[] errors) {
    FloatVector by = FloatVector.fromArray(F, scales, 0);
    FloatVector from = FloatVector.fromArray(F, leasts, 0);
    FloatVector sum = FloatVector.zero(F);
    for (int i = 0; i < x.length; i += LANES) {
      FloatVector code = FloatVector.fromArray(F, l, i);
      FloatVector off = by.mul(code).add(from).sub(FloatVector.fromArray(F, x, i));
      FloatVector cost = absolute ? off.abs() : off.mul(off);
      sum = sum.add(FloatVector.fromArray(F, w, i).mul(cost));
    }
    sum.intoArray(errors, 0);
  }

  /// Takes over what is better. An error that is not a number is not.
  private void keep() {
    for (int lane = 0; lane < LANES; lane++) {
      if (error[lane] < best[lane]) {
        best[lane] = error[lane];
        bestFactor[lane] = factor[lane];
        bestLeast[lane] = least[lane];
        scale[lane] = nextScale[lane];
        least[lane] = nextLeast[lane];
      }
    }
  }

  /// The same as [SymmetricFit#fit] for `groups` groups from `group` on.
  void symmetric(
      SymmetricFit fit,
      float[] values,
      float[] weights,
      int group,
      int groups,
      byte[] codes,
      float[] scales) {
    int middle = fit.middle();
    load(values, group, groups, x);
    load(weights, group, groups, w);
    largest();
    for (int lane = 0; lane < LANES; lane++) {
      bestFactor[lane] = -middle / most[lane];
    }
    symmetricSums(middle, bestFactor);
    for (int lane = 0; lane < LANES; lane++) {
      scale[lane] = sumL2[lane] == 0 ? 0 : sumXl[lane] / sumL2[lane];
      best[lane] = scale[lane] * sumXl[lane];
    }
    for (int s = -9; s <= 9; s++) {
      if (s != 0) {
        float numerator = -(middle + 0.1f * s);
        for (int lane = 0; lane < LANES; lane++) {
          factor[lane] = numerator / most[lane];
        }
        symmetricSums(middle, factor);
        keepSymmetric();
      }
    }
    symmetricCodes(middle, bestFactor);
    for (int lane = 0; lane < groups; lane++) {
      boolean nothing = Math.abs(most[lane]) < SymmetricFit.NOTHING;
      scales[group + lane] = nothing ? 0 : scale[lane];
    }
    store(middle, group, groups, codes);
    for (int lane = 0; lane < groups; lane++) {
      if (Math.abs(most[lane]) < SymmetricFit.NOTHING) {
        int at = (group + lane) * size;
        Arrays.fill(codes, at, at + size, (byte) 0);
      }
    }
  }

  /// The first element of largest magnitude of each group; 0 if there are only zeros.
  private void largest() {
    FloatVector magnitude = FloatVector.zero(F);
    FloatVector extreme = FloatVector.zero(F);
    for (int i = 0; i < x.length; i += LANES) {
      FloatVector value = FloatVector.fromArray(F, x, i);
      FloatVector size = value.abs();
      VectorMask<Float> larger = size.compare(VectorOperators.GT, magnitude);
      magnitude = magnitude.blend(size, larger);
      extreme = extreme.blend(value, larger);
    }
    extreme.intoArray(most, 0);
  }

  private void symmetricCodes(int middle, float[] factors) {
    FloatVector by = FloatVector.fromArray(F, factors, 0);
    for (int i = 0; i < x.length; i += LANES) {
      IntVector bits =
          by.mul(FloatVector.fromArray(F, x, i)).add(Round.TO_INTEGER).reinterpretAsInts();
      IntVector code = bits.and(LOW_BITS).sub(ZERO).min(middle - 1).max(-middle);
      ((FloatVector) code.convertShape(VectorOperators.I2F, F, 0)).intoArray(l, i);
    }
  }

  private void symmetricSums(int middle, float[] factors) {
    symmetricCodes(middle, factors);
    FloatVector products = FloatVector.zero(F);
    FloatVector squares = FloatVector.zero(F);
    for (int i = 0; i < x.length; i += LANES) {
      FloatVector code = FloatVector.fromArray(F, l, i);
      FloatVector weight = FloatVector.fromArray(F, w, i);
      products = products.add(weight.mul(FloatVector.fromArray(F, x, i)).mul(code));
      squares = squares.add(weight.mul(code).mul(code));
    }
    products.intoArray(sumXl, 0);
    squares.intoArray(sumL2, 0);
  }

  private void keepSymmetric() {
    for (int lane = 0; lane < LANES; lane++) {
      if (sumL2[lane] > 0 && sumXl[lane] * sumXl[lane] > best[lane] * sumL2[lane]) {
        bestFactor[lane] = factor[lane];
        scale[lane] = sumXl[lane] / sumL2[lane];
        best[lane] = scale[lane] * sumXl[lane];
      }
    }
  }
}
