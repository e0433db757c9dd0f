package smelt.calibrate.model;

import java.io.IOException;
import java.util.List;
import smelt.calibrate.math.AttentionShape;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.formats.checkpoint.TensorRole.AttentionPart;

/// Grouped-query attention:
///
/// ```
/// q, k, v = q(x), k(x), v(x)                   heads; fewer of k and v than of q
/// q, k    = norm(q), norm(k)                   each head by itself, where the model has such norms
/// out     = o(attention(rotated q, rotated k, v))
/// ```
final class GroupedBlock implements AttentionBlock {

  private final Attention.Grouped grouped;
  private final Parts parts;
  private final Compute compute;

  GroupedBlock(Attention.Grouped grouped, Parts parts) {
    this.grouped = grouped;
    this.parts = parts;
    compute = parts.compute();
  }

  @Override
  public void add(int layer, Matrix normed, Span span, RopeTables rope, LayerOptions options)
      throws IOException {
    long n = span.tokens();
    long size = grouped.headSize();
    Matrix query = parts.scratch().matrix(n, grouped.heads() * size);
    Matrix keys = parts.scratch().matrix(n, grouped.keyValueHeads() * size);
    Matrix values = parts.scratch().matrix(n, keys.cols());
    project(layer, normed, query, keys, values, options);
    Matrix out = parts.scratch().matrix(n, query.cols());
    AttentionShape shape = shape();
    for (int s = span.first(); s < span.end(); s++) {
      RopeTables own = rope.first(span.batch().length(s));
      rotate(span.rowsOf(s, query), grouped.heads(), own);
      rotate(span.rowsOf(s, keys), grouped.keyValueHeads(), own);
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

  /// Queries, keys and values, normed but not rotated.
  void project(
      int layer, Matrix normed, Matrix query, Matrix keys, Matrix values, LayerOptions options)
      throws IOException {
    parts.attention(
        layer,
        List.of(AttentionPart.Q, AttentionPart.K, AttentionPart.V),
        normed,
        List.of(query, keys, values),
        options);
    if (grouped.headNorms()) {
      normHeads(query, grouped.heads(), layer, "self_attn.q_norm");
      normHeads(keys, grouped.keyValueHeads(), layer, "self_attn.k_norm");
    }
  }

  AttentionShape shape() {
    return new AttentionShape(
        grouped.heads(),
        grouped.keyValueHeads(),
        grouped.headSize(),
        grouped.headSize(),
        (float) grouped.scale());
  }

  private void normHeads(Matrix x, int heads, int layer, String norm) throws IOException {
    Matrix weight = parts.linears().vector(parts.weights().norm(layer, norm));
    compute.rmsNormHeads(x, heads, weight, parts.spec().eps());
  }

  void rotate(Matrix x, int heads, RopeTables rope) {
    compute.rope(
        x, heads, grouped.headSize(), rope.cos(), rope.sin(), parts.spec().rope().layout());
  }
}
