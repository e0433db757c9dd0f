package smelt.calibrate.solve;

import static smelt.calibrate.math.Matrix.F32;

import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;

/// Lends few tokens what is known from many: `(n own + kappa pool) / (n + kappa)`. Own and pool
/// must be of the same channels, as the input of a layer's experts is.
///
/// @param kappa how many tokens the pool is worth
public record Shrinkage(double kappa) {

  /// For second moments of all channels with each other.
  public static final Shrinkage OF_HESSIANS = new Shrinkage(1024);

  /// For those of each channel alone, which need fewer tokens.
  public static final Shrinkage OF_IMPORTANCE = new Shrinkage(64);

  private static final long ROWS_OF_TASK = 16;

  public Shrinkage {
    if (!(kappa > 0 && kappa <= 1e12)) {
      throw new IllegalArgumentException("kappa " + kappa);
    }
  }

  /// @param own mean of `x xT` of `tokens` tokens
  /// @param pool the same of many tokens
  /// @param out may be `own`; each number is rounded once
  public void apply(Compute compute, Matrix own, long tokens, Matrix pool, Matrix out) {
    if (own.rows() != pool.rows()
        || own.cols() != pool.cols()
        || out.rows() != own.rows()
        || out.cols() != own.cols()) {
      throw new IllegalArgumentException(
          own.rows() + " x " + own.cols() + " and " + pool.rows() + " x " + pool.cols());
    }
    compute.each(
        Math.toIntExact(Math.ceilDiv(own.rows(), ROWS_OF_TASK)),
        task -> {
          long end = Math.min(own.rows(), (task + 1) * ROWS_OF_TASK);
          for (long r = task * ROWS_OF_TASK; r < end; r++) {
            for (long c = 0; c < own.cols(); c++) {
              float number = own.data().get(F32, own.at(r, c));
              float pooled = pool.data().get(F32, pool.at(r, c));
              out.data().set(F32, out.at(r, c), mix(number, tokens, pooled));
            }
          }
        });
  }

  /// The same of mean squares.
  public float[] apply(float[] own, long tokens, float[] pool) {
    if (own.length != pool.length) {
      throw new IllegalArgumentException(own.length + " and " + pool.length + " channels");
    }
    float[] mixed = new float[own.length];
    for (int i = 0; i < own.length; i++) {
      mixed[i] = mix(own[i], tokens, pool[i]);
    }
    return mixed;
  }

  private float mix(float own, long tokens, float pool) {
    return (float) ((tokens * (double) own + kappa * pool) / (tokens + kappa));
  }
}
