package smelt.calibrate.math;

import java.lang.foreign.*;
import smelt.formats.ElementType;
import smelt.formats.codec.*;

public final class Compute implements AutoCloseable {
  private final Kernels codec;

  public Compute(MathKernels math, Kernels codec, int threads) {
    this.codec = codec;
  }

  public Kernels codec() {
    return codec;
  }

  static float[] row(Matrix m, long r) {
    float[] f = new float[(int) m.cols()];
    MemorySegment.copy(m.data(), Matrix.F32, m.at(r, 0), f, 0, f.length);
    return f;
  }

  static void put(float[] f, Matrix m, long r) {
    MemorySegment.copy(f, 0, m.data(), Matrix.F32, m.at(r, 0), f.length);
  }

  static float[][] rows(Matrix m) {
    float[][] o = new float[(int) m.rows()][];
    for (int i = 0; i < o.length; i++) o[i] = row(m, i);
    return o;
  }

  public void multiply(Matrix x, Tile w, Matrix out) {
    try (Arena a = Arena.ofConfined()) {
      Matrix f = Matrix.zeros(a, w.rows(), w.cols());
      Tile to = Tile.plain(ElementType.F32, f.data(), 0, w.rows(), w.cols());
      Transcoder.transcode(
          codec, w, to, a.allocate(Transcoder.scratchBytes(w.encoding(), to.encoding(), w.cols())));
      multiply(x, f, out);
    }
  }

  public void multiply(Matrix x, Matrix w, Matrix out) {
    if (x.cols() != w.cols() || out.rows() != x.rows() || out.cols() != w.rows())
      throw new IllegalArgumentException(x + " " + w + " " + out);
    float[][] ws = rows(w);
    for (long i = 0; i < x.rows(); i++) {
      float[] a = row(x, i);
      float[] o = new float[ws.length];
      for (int j = 0; j < ws.length; j++) {
        float[] b = ws[j];
        float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        int k = 0;
        for (; k + 3 < a.length; k += 4) {
          s0 += a[k] * b[k];
          s1 += a[k + 1] * b[k + 1];
          s2 += a[k + 2] * b[k + 2];
          s3 += a[k + 3] * b[k + 3];
        }
        for (; k < a.length; k++) s0 += a[k] * b[k];
        o[j] = (s0 + s1) + (s2 + s3);
      }
      put(o, out, i);
    }
  }

  public void add(Matrix x, Matrix into) {
    for (long i = 0; i < x.rows(); i++) {
      float[] a = row(x, i), b = row(into, i);
      for (int j = 0; j < a.length; j++) b[j] += a[j];
      put(b, into, i);
    }
  }

  public void addRow(Matrix r, Matrix into) {
    for (long i = 0; i < into.rows(); i++) {
      float[] a = row(r, 0), b = row(into, i);
      for (int j = 0; j < a.length; j++) b[j] += a[j];
      put(b, into, i);
    }
  }

  public void rmsNorm(Matrix x, Matrix weight, double eps, Matrix out) {
    float[] w = row(weight, 0);
    for (long i = 0; i < x.rows(); i++) {
      float[] a = row(x, i);
      double s = 0;
      for (float v : a) s += (double) v * v;
      float f = (float) (1 / Math.sqrt(s / a.length + eps));
      for (int j = 0; j < a.length; j++) a[j] = a[j] * f * w[j];
      put(a, out, i);
    }
  }

  public void rmsNormHeads(Matrix x, int heads, Matrix weight, double eps) {
    for (int h = 0; h < heads; h++) {
      Matrix v = x.columns(h * weight.cols(), weight.cols());
      rmsNorm(v, weight, eps, v);
    }
  }

  public void softmax(Matrix x) {
    for (long i = 0; i < x.rows(); i++) {
      float[] a = row(x, i);
      soft(a, a.length);
      put(a, x, i);
    }
  }

  static void soft(float[] a, int n) {
    float m = Float.NEGATIVE_INFINITY;
    for (int j = 0; j < n; j++) m = Math.max(m, a[j]);
    double s = 0;
    for (int j = 0; j < n; j++) {
      a[j] = (float) Math.exp(a[j] - m);
      s += a[j];
    }
    for (int j = 0; j < n; j++) a[j] = (float) (a[j] / s);
  }

  public void siluMultiply(Matrix gate, Matrix up, Matrix out) {
    for (long i = 0; i < gate.rows(); i++) {
      float[] a = row(gate, i), b = row(up, i);
      for (int j = 0; j < a.length; j++) a[j] = (float) (a[j] / (1 + Math.exp(-a[j])) * b[j]);
      put(a, out, i);
    }
  }

  public void rope(
      Matrix x, int heads, long headStride, Matrix cos, Matrix sin, RopeLayout layout) {
    int d = (int) cos.cols();
    for (long i = 0; i < x.rows(); i++)
      for (int h = 0; h < heads; h++)
        for (int p = 0; p < d; p++) {
          long c0 = h * headStride + (layout == RopeLayout.INTERLEAVED ? 2 * p : p),
              c1 = layout == RopeLayout.INTERLEAVED ? c0 + 1 : c0 + d;
          float a = x.get(i, c0), b = x.get(i, c1), c = cos.get(i, p), s = sin.get(i, p);
          x.set(i, c0, a * c - b * s);
          x.set(i, c1, b * c + a * s);
        }
  }

  public void attention(AttentionShape t, Matrix q, Matrix k, Matrix v, Matrix out) {
    float[][] qs = rows(q), ks = rows(k), vs = rows(v);
    int off = ks.length - qs.length;
    int g = t.heads() / t.kvHeads();
    float[] sc = new float[ks.length];
    for (int i = 0; i < qs.length; i++) {
      float[] o = new float[t.heads() * t.vDim()];
      for (int h = 0; h < t.heads(); h++) {
        int n = off + i + 1;
        int kh = h / g;
        for (int j = 0; j < n; j++) {
          float s = 0;
          for (int d = 0; d < t.qkDim(); d++)
            s += qs[i][h * t.qkDim() + d] * ks[j][kh * t.qkDim() + d];
          sc[j] = s * t.scale();
        }
        soft(sc, n);
        for (int j = 0; j < n; j++)
          for (int d = 0; d < t.vDim(); d++)
            o[h * t.vDim() + d] += sc[j] * vs[j][kh * t.vDim() + d];
      }
      put(o, out, i);
    }
  }

  public void gatherRows(Matrix x, int[] rows, Matrix out) {
    for (int i = 0; i < rows.length; i++) put(row(x, rows[i]), out, i);
  }

  public void scatterAdd(Matrix x, int[] rows, float[] f, Matrix into) {
    for (int i = 0; i < rows.length; i++) {
      float[] a = row(x, i), b = row(into, rows[i]);
      for (int j = 0; j < a.length; j++) b[j] += f[i] * a[j];
      put(b, into, rows[i]);
    }
  }

  @Override
  public void close() {}
}
