package smelt.calibrate.model;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import smelt.calibrate.math.AttentionShape;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.formats.checkpoint.TensorRole.AttentionPart;
import smelt.formats.checkpoint.Weight;

/// Multi-head latent attention on its compressed cache, `[latent | rotated key]` for each token.
///
/// Keys and values are never written out. With `kv_b` of a head as `U` (plain key, one row a
/// number) and `W` (value), a product with a key is one with the latent vector `c`, and a mean of
/// values follows from a mean of latent vectors:
///
/// ```
/// q . (U c)       = (Ut q) . c
/// sum a_i (W c_i) = W (sum a_i c_i)
/// ```
///
/// so all heads attend to the cache itself, as one head of keys and values.
final class CachedMla implements CachedAttention {

  private final Attention.Mla mla;
  private final Parts parts;
  private final MlaBlock block;

  /// Numbers of the cache for a token.
  private final int width;

  CachedMla(Attention.Mla mla, Parts parts) {
    this.mla = mla;
    this.parts = parts;
    block = new MlaBlock(mla, parts);
    width = mla.latentRank() + mla.rotatedSize();
  }

  static Needs needs(Attention.Mla mla, int hidden) {
    long width = (long) mla.latentRank() + mla.rotatedSize();
    long perHead = mla.querySize() + width + mla.latentRank() + mla.valueSize();
    return new Needs(
        width,
        hidden + mla.heads() * perHead + mla.queryRank().orElse(0),
        2L * mla.plainSize() * mla.latentRank());
  }

  @Override
  public void add(int layer, Matrix normed, Matrix hidden, Matrix cache, RopeTables rope)
      throws IOException {
    Compute compute = parts.compute();
    Scratch scratch = parts.scratch();
    long n = normed.rows();
    Matrix query = scratch.matrix(n, (long) mla.heads() * mla.querySize());
    block.query(layer, normed, query, LayerOptions.PLAIN);
    fill(layer, normed, cache.rows(cache.rows() - n, n), rope);
    Matrix rotated = query.columns(mla.plainSize(), query.cols() - mla.plainSize());
    rotate(rotated, mla.heads(), mla.querySize(), rope);
    Weight keysAndValues = parts.weights().attention(layer, AttentionPart.KV_B);
    Matrix onLatent = scratch.matrix(n, (long) mla.heads() * width);
    queriesOnLatent(keysAndValues, query, onLatent);
    Matrix means = scratch.matrix(n, (long) mla.heads() * mla.latentRank());
    compute.attention(
        new AttentionShape(mla.heads(), 1, width, mla.latentRank(), (float) mla.scale()),
        onLatent,
        cache,
        cache.columns(0, mla.latentRank()),
        means);
    Matrix values = scratch.matrix(n, (long) mla.heads() * mla.valueSize());
    values(keysAndValues, means, values);
    parts.attention(layer, AttentionPart.O, values, normed, LayerOptions.PLAIN);
    compute.add(normed, hidden);
  }

  /// Writes the new tokens' part of the cache.
  private void fill(int layer, Matrix normed, Matrix fresh, RopeTables rope) throws IOException {
    parts.attention(layer, AttentionPart.KV_A, normed, fresh, LayerOptions.PLAIN);
    Matrix latent = fresh.columns(0, mla.latentRank());
    Matrix norm = parts.linears().vector(parts.weights().norm(layer, "self_attn.kv_a_layernorm"));
    parts.compute().rmsNorm(latent, norm, parts.spec().eps(), latent);
    Matrix key = fresh.columns(mla.latentRank(), mla.rotatedSize());
    rotate(key, 1, mla.rotatedSize(), rope);
  }

  private void rotate(Matrix x, int heads, long stride, RopeTables rope) {
    parts.compute().rope(x, heads, stride, rope.cos(), rope.sin(), parts.spec().rope().layout());
  }

  private void queriesOnLatent(Weight keysAndValues, Matrix query, Matrix onLatent)
      throws IOException {
    long mark = parts.scratch().mark();
    Matrix rows = parts.scratch().matrix(mla.plainSize(), mla.latentRank());
    Matrix turned = parts.scratch().matrix(mla.latentRank(), mla.plainSize());
    for (int head = 0; head < mla.heads(); head++) {
      parts.linears().rows(keysAndValues, firstRow(head), rows);
      transpose(rows, turned);
      Matrix own = query.columns((long) head * mla.querySize(), mla.querySize());
      Matrix to = onLatent.columns((long) head * width, width);
      parts
          .compute()
          .multiply(own.columns(0, mla.plainSize()), turned, to.columns(0, mla.latentRank()));
      copy(
          own.columns(mla.plainSize(), mla.rotatedSize()),
          to.columns(mla.latentRank(), mla.rotatedSize()));
    }
    parts.scratch().release(mark);
  }

  private void values(Weight keysAndValues, Matrix means, Matrix values) throws IOException {
    for (int head = 0; head < mla.heads(); head++) {
      parts
          .linears()
          .multiplyRows(
              keysAndValues,
              firstRow(head) + mla.plainSize(),
              mla.valueSize(),
              means.columns((long) head * mla.latentRank(), mla.latentRank()),
              values.columns((long) head * mla.valueSize(), mla.valueSize()),
              LayerOptions.PLAIN);
    }
  }

  /// First row of a head in `kv_b`.
  private long firstRow(int head) {
    return (long) head * (mla.plainSize() + mla.valueSize());
  }

  private static void transpose(Matrix from, Matrix to) {
    for (long row = 0; row < from.rows(); row++) {
      for (long col = 0; col < from.cols(); col++) {
        to.set(col, row, from.get(row, col));
      }
    }
  }

  private static void copy(Matrix from, Matrix to) {
    for (long row = 0; row < from.rows(); row++) {
      MemorySegment.copy(
          from.data(), from.at(row, 0), to.data(), to.at(row, 0), Matrix.bytes(1, from.cols()));
    }
  }
}
