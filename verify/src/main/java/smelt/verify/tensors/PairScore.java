package smelt.verify.tensors;

import java.util.Optional;
import java.util.OptionalInt;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;
import smelt.verify.quality.TensorScore;

/// Puts together what the pieces of a pair gave. Pieces may end in any order, on any thread.
final class PairScore {

  /// What one piece gave.
  record Part(Deviation deviation, long clipped, ScaleRange scales) {}

  private final Pairing.Pair pair;
  private final Part[] parts;
  private int left;

  PairScore(Pairing.Pair pair, int pieces) {
    this.pair = pair;
    this.parts = new Part[pieces];
    this.left = pieces;
  }

  /// @return whether it was the last one
  synchronized boolean put(int piece, Part part) {
    parts[piece] = part;
    left--;
    return left == 0;
  }

  /// The score, once all parts are there.
  synchronized TensorScore score() {
    Deviation all = new Deviation();
    ScaleRange scales = new ScaleRange();
    long clipped = 0;
    for (Part part : parts) {
      all.add(part.deviation());
      scales.add(part.scales());
      clipped += part.clipped();
    }
    Weight result = pair.result();
    long elements = result.shape().elements();
    return new TensorScore(
        result.name(),
        result.role().label(),
        result.role().layer(),
        expert(result.role()),
        projection(result.role()),
        label(pair.source().encoding()),
        label(result.encoding()),
        elements,
        all.exact(),
        all.sqnrDb(),
        all.maxAbsError(),
        all.relativeError(),
        all.cosine(),
        all.nonFinite(),
        elements == 0 ? 0 : (double) clipped / elements,
        scales.min(),
        scales.max());
  }

  static String label(Encoding encoding) {
    return switch (encoding) {
      case Encoding.Plain(var type) -> type.name();
      case Encoding.Channel(var type, _) -> type + " channel";
      case Encoding.Int4 i -> "INT4 group " + i.group();
      case Encoding.Ggml(var blocks) -> blocks.name();
      case Encoding.Block b ->
          "%s block %dx%d%s"
              .formatted(
                  b.type(),
                  b.blockRows(),
                  b.blockCols(),
                  b.scaleFormat() == ScaleFormat.UE8M0 ? " ue8m0" : "");
    };
  }

  private static OptionalInt expert(TensorRole role) {
    return role instanceof TensorRole.RoutedExpert e
        ? OptionalInt.of(e.expert())
        : OptionalInt.empty();
  }

  private static Optional<Projection> projection(TensorRole role) {
    return switch (role) {
      case TensorRole.DenseMlp mlp -> Optional.of(mlp.projection());
      case TensorRole.RoutedExpert expert -> Optional.of(expert.projection());
      case TensorRole.SharedExpert expert -> Optional.of(expert.projection());
      case TensorRole.Embedding _,
          TensorRole.Head _,
          TensorRole.FinalNorm _,
          TensorRole.Norm _,
          TensorRole.Attention _,
          TensorRole.AttentionBias _,
          TensorRole.Indexer _,
          TensorRole.Router _,
          TensorRole.RouterBias _,
          TensorRole.Mtp _,
          TensorRole.Foreign _ ->
          Optional.empty();
    };
  }
}
