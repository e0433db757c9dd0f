package smelt.formats.experts;

import java.util.Arrays;
import java.util.Objects;

/// How a row of a CPU layout gets its codes and its scale, as the runtimes' own converters do it.
/// `value = code x decode scale`, for INT4 in KTransformers' files `code x 16 x stored scale`.
///
/// | rule | stored scale `d` | code |
/// |---|---|---|
/// | `KT_INT8` | `absmax / 127` | `x (1 / d)`, half to even |
/// | `KT_INT4` | `absmax / 112` | `x (1 / d)`, half to even, then to the nearest sixteenth, half away from zero |
/// | `AOCL_INT8` | `absmax / 127` | `x / d`, half away from zero |
///
/// All in F32. Where `1 / d` is not finite the runtimes' converters write the least code in the
/// whole row, with which their kernels multiply wrongly; here such a row, like one of zeros, is
/// codes 0 with scale 0.
public enum RowRule {
  KT_INT8 {
    @Override
    float scale(float absmax) {
      return absmax / 127f;
    }

    @Override
    byte code(float x, float scale, float inverse) {
      return (byte) Math.clamp(Math.rint(x * inverse), -127, 127);
    }
  },
  KT_INT4 {
    @Override
    float scale(float absmax) {
      return (float) (absmax / 112.0);
    }

    @Override
    byte code(float x, float scale, float inverse) {
      int q = (int) Math.clamp(Math.rint(x * inverse), -127, 127);
      int magnitude = (Math.abs(q) + 8) >> 4;
      return (byte) (q < 0 ? -magnitude : magnitude);
    }
  },
  AOCL_INT8 {
    @Override
    float scale(float absmax) {
      return absmax / 127f;
    }

    @Override
    byte code(float x, float scale, float inverse) {
      float quotient = x / scale;
      double nearest = Math.floor(Math.abs((double) quotient) + 0.5);
      return (byte) Math.min(127, Math.copySign(nearest, quotient));
    }
  };

  abstract float scale(float absmax);

  abstract byte code(float x, float scale, float inverse);

  /// Chooses the codes of one row.
  ///
  /// @param row finite numbers
  /// @param codes gets one code for each
  /// @return the scale to store
  public float quantize(float[] row, int count, byte[] codes) {
    Objects.checkFromIndexSize(0, count, row.length);
    Objects.checkFromIndexSize(0, count, codes.length);
    float absmax = 0;
    for (int i = 0; i < count; i++) {
      absmax = Math.max(absmax, Math.abs(row[i]));
    }
    float scale = scale(absmax);
    float inverse = 1 / scale;
    if (scale == 0 || Float.isInfinite(inverse)) {
      Arrays.fill(codes, 0, count, (byte) 0);
      return 0;
    }
    for (int i = 0; i < count; i++) {
      codes[i] = code(row[i], scale, inverse);
    }
    return scale;
  }
}
