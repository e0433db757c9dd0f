package smelt.calibrate.model;

import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;

/// Rounds the input of a linear to the values that a runtime's codes stand for.
final class ActivationRounding {

  private final Compute compute;
  private final Scratch scratch;

  ActivationRounding(Compute compute, Scratch scratch) {
    this.compute = compute;
    this.scratch = scratch;
  }

  /// The rounded input: `x` itself where nothing is rounded, else a matrix in scratch memory.
  Matrix round(ActivationScheme scheme, Matrix x) {
    return switch (scheme) {
      case ActivationScheme.None _ -> x;
      case ActivationScheme.PerToken(ElementType type) ->
          throughCodes(new Encoding.Channel(type, ElementType.F32), x);
      case ActivationScheme.PerGroup(ElementType type, int group, ScaleFormat scales) ->
          throughCodes(new Encoding.Block(type, 1, group, ElementType.F32, scales), x);
      case ActivationScheme.PerTensor(ElementType type, float scale) -> toGrid(type, scale, x);
      case ActivationScheme.Affine(float scale, float factor, int offset) -> {
        Matrix out = scratch.matrix(x.rows(), x.cols());
        compute.roundInt8(x, factor, offset, scale, out);
        yield out;
      }
      case ActivationScheme.Shifted(float scale, int offset) -> {
        Matrix out = scratch.matrix(x.rows(), x.cols());
        compute.roundInt8(x, scale, offset, out);
        yield out;
      }
      case ActivationScheme.IntegerSums sums -> round(sums.input(), x);
    };
  }

  private Matrix throughCodes(Encoding encoding, Matrix x) {
    Matrix out = scratch.matrix(x.rows(), x.cols());
    compute.round(x, encoding, out);
    return out;
  }

  private Matrix toGrid(ElementType type, float scale, Matrix x) {
    Matrix out = scratch.matrix(x.rows(), x.cols());
    if (type == ElementType.I8) {
      compute.roundInt8(x, scale, out);
    } else {
      compute.roundE4m3(x, scale, out);
    }
    return out;
  }
}
