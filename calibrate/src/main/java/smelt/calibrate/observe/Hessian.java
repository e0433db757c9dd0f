package smelt.calibrate.observe;

import smelt.calibrate.math.Matrix;

/// The mean of `x xT` over the tokens of a site: what GPTQ calls its Hessian, without the factor 2.
///
/// @param tokens how many
/// @param values symmetric, one row and column for each channel; all 0 without tokens
public record Hessian(long tokens, Matrix values) {
  public Hessian {
    if (tokens < 0 || values.rows() != values.cols()) {
      throw new IllegalArgumentException(
          tokens + " tokens, " + values.rows() + " x " + values.cols());
    }
  }

  public long channels() {
    return values.rows();
  }
}
