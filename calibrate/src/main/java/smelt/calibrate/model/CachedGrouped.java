package smelt.calibrate.model;

import java.io.IOException;
import smelt.calibrate.math.Matrix;
import smelt.formats.checkpoint.TensorRole.AttentionPart;

/// Grouped-query attention on a cache of `[keys | values]` for each token, the keys rotated.
final class CachedGrouped implements CachedAttention {

  private final Attention.Grouped grouped;
  private final Parts parts;
  private final GroupedBlock block;

  CachedGrouped(Attention.Grouped grouped, Parts parts) {
    this.grouped = grouped;
    this.parts = parts;
    block = new GroupedBlock(grouped, parts);
  }

  static Needs needs(Attention.Grouped grouped, int hidden) {
    long size = grouped.headSize();
    return new Needs(2L * grouped.keyValueHeads() * size, hidden + 2L * grouped.heads() * size, 0);
  }

  @Override
  public void add(int layer, Matrix normed, Matrix hidden, Matrix cache, RopeTables rope)
      throws IOException {
    long n = normed.rows();
    long width = (long) grouped.keyValueHeads() * grouped.headSize();
    Matrix fresh = cache.rows(cache.rows() - n, n);
    Matrix keys = fresh.columns(0, width);
    Matrix query = parts.scratch().matrix(n, (long) grouped.heads() * grouped.headSize());
    block.project(layer, normed, query, keys, fresh.columns(width, width), LayerOptions.PLAIN);
    block.rotate(query, grouped.heads(), rope);
    block.rotate(keys, grouped.keyValueHeads(), rope);
    Matrix out = parts.scratch().matrix(n, query.cols());
    parts
        .compute()
        .attention(block.shape(), query, cache.columns(0, width), cache.columns(width, width), out);
    parts.attention(layer, AttentionPart.O, out, normed, LayerOptions.PLAIN);
    parts.compute().add(normed, hidden);
  }
}
