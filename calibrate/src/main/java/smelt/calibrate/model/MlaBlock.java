package smelt.calibrate.model;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import smelt.calibrate.math.AttentionShape;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.formats.checkpoint.TensorRole.AttentionPart;

/// Multi-head latent attention, with keys and values written out:
///
/// ```
/// q       = q_b(norm(q_a(x)))  or  q(x)        heads of [plain | rotated]
/// c | r   = kv_a(x)                            latent vector, rotated part of the key
/// k | v   = kv_b(norm(c))                      heads of [plain key | value]
/// out     = o(attention(q, [k | r], v))
/// ```
final class MlaBlock implements AttentionBlock {

  private final Attention.Mla mla;
  private final Parts parts;
  private final ModelSpec spec;
  private final ModelWeights weights;
  private final Linears linears;
  private final Compute compute;
  private final Scratch scratch;

  MlaBlock(Attention.Mla mla, Parts parts) {
    this.mla = mla;
    this.parts = parts;
    spec = parts.spec();
    weights = parts.weights();
    linears = parts.linears();
    compute = parts.compute();
    scratch = parts.scratch();
  }

  @Override
  public void add(int layer, Matrix normed, Span span, RopeTables rope, LayerOptions options)
      throws IOException {
    long n = span.tokens();
    Matrix query = scratch.matrix(n, (long) mla.heads() * mla.querySize());
    Matrix latent = scratch.matrix(n, mla.latentRank() + mla.rotatedSize());
    Matrix first = firstOfQuery(query);
    parts.attention(
        layer, List.of(partOfQuery(), AttentionPart.KV_A), normed, List.of(first, latent), options);
    restOfQuery(layer, first, query, options);
    rotate(span, query, latent.columns(mla.latentRank(), mla.rotatedSize()), rope);
    Matrix both = scratch.matrix(n, (long) mla.heads() * (mla.plainSize() + mla.valueSize()));
    keysAndValues(layer, latent, both, options);
    Matrix keys = scratch.matrix(n, query.cols());
    Matrix values = scratch.matrix(n, (long) mla.heads() * mla.valueSize());
    split(both, latent, keys, values);
    Matrix out = both.columns(0, values.cols());
    AttentionShape shape =
        new AttentionShape(
            mla.heads(), mla.heads(), mla.querySize(), mla.valueSize(), (float) mla.scale());
    for (int s = span.first(); s < span.end(); s++) {
      compute.attention(
          shape,
          span.rowsOf(s, query),
          span.rowsOf(s, keys),
          span.rowsOf(s, values),
          span.rowsOf(s, out));
    }
    parts.attention(layer, AttentionPart.O, out, normed, options);
    compute.add(normed, span.hidden());
  }

  /// The heads' queries, not rotated yet.
  void query(int layer, Matrix normed, Matrix query, LayerOptions options) throws IOException {
    Matrix first = firstOfQuery(query);
    parts.attention(layer, partOfQuery(), normed, first, options);
    restOfQuery(layer, first, query, options);
  }

  private AttentionPart partOfQuery() {
    return mla.queryRank().isPresent() ? AttentionPart.Q_A : AttentionPart.Q;
  }

  /// Where the first product goes on the way to the queries: these themselves if there is one only.
  private Matrix firstOfQuery(Matrix query) {
    return mla.queryRank().isPresent()
        ? scratch.matrix(query.rows(), mla.queryRank().getAsInt())
        : query;
  }

  private void restOfQuery(int layer, Matrix first, Matrix query, LayerOptions options)
      throws IOException {
    if (mla.queryRank().isPresent()) {
      Matrix norm = linears.vector(weights.norm(layer, "self_attn.q_a_layernorm"));
      compute.rmsNorm(first, norm, spec.eps(), first);
      parts.attention(layer, AttentionPart.Q_B, first, query, options);
    }
  }

  private void keysAndValues(int layer, Matrix latent, Matrix both, LayerOptions options)
      throws IOException {
    Matrix low = latent.columns(0, mla.latentRank());
    Matrix norm = linears.vector(weights.norm(layer, "self_attn.kv_a_layernorm"));
    compute.rmsNorm(low, norm, spec.eps(), low);
    parts.attention(layer, AttentionPart.KV_B, low, both, options);
  }

  private void rotate(Span span, Matrix query, Matrix key, RopeTables rope) {
    Matrix rotated = query.columns(mla.plainSize(), query.cols() - mla.plainSize());
    for (int s = span.first(); s < span.end(); s++) {
      RopeTables own = rope.first(span.batch().length(s));
      compute.rope(
          span.rowsOf(s, rotated),
          mla.heads(),
          mla.querySize(),
          own.cos(),
          own.sin(),
          spec.rope().layout());
      compute.rope(
          span.rowsOf(s, key), 1, mla.rotatedSize(), own.cos(), own.sin(), spec.rope().layout());
    }
  }

  private void split(Matrix both, Matrix latent, Matrix keys, Matrix values) {
    long plain = mla.plainSize();
    long value = mla.valueSize();
    for (long row = 0; row < both.rows(); row++) {
      for (long head = 0; head < mla.heads(); head++) {
        long from = head * (plain + value);
        long key = head * mla.querySize();
        copy(both, row, from, keys, key, plain);
        copy(latent, row, mla.latentRank(), keys, key + plain, mla.rotatedSize());
        copy(both, row, from + plain, values, head * value, value);
      }
    }
  }

  private static void copy(Matrix from, long row, long col, Matrix to, long toCol, long count) {
    MemorySegment.copy(
        from.data(), from.at(row, col), to.data(), to.at(row, toCol), Float.BYTES * count);
  }
}
