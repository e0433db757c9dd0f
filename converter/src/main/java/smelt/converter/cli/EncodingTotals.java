package smelt.converter.cli;

import java.util.LinkedHashMap;
import java.util.SequencedMap;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Inventory;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;

/// The weights of a checkpoint summed by how they are encoded.
final class EncodingTotals {

  private EncodingTotals() {}

  /// Sums by [#words], in the order in which they come first; scales count with their weights.
  static SequencedMap<String, Inventory.Total> of(Checkpoint model) {
    SequencedMap<String, Inventory.Total> totals = new LinkedHashMap<>();
    for (Weight weight : model.weights()) {
      int tensors = weight.scale().isPresent() ? 2 : 1;
      totals.merge(
          words(weight.encoding()),
          new Inventory.Total(tensors, weight.shape().elements(), weight.bytes()),
          EncodingTotals::sum);
    }
    return totals;
  }

  private static Inventory.Total sum(Inventory.Total a, Inventory.Total b) {
    return new Inventory.Total(
        a.tensors() + b.tensors(),
        Math.addExact(a.parameters(), b.parameters()),
        Math.addExact(a.bytes(), b.bytes()));
  }

  /// An encoding for people: `F8_E4M3 in 128 x 128 blocks, F32 scales`.
  static String words(Encoding encoding) {
    return switch (encoding) {
      case Encoding.Plain plain -> plain.type().name();
      case Encoding.Block block ->
          block.type()
              + " in "
              + block.blockRows()
              + " x "
              + block.blockCols()
              + " blocks, "
              + block.scaleType()
              + (block.scaleFormat() == ScaleFormat.UE8M0 ? " scales (ue8m0)" : " scales");
      case Encoding.Channel channel ->
          channel.type() + " per channel, " + channel.scaleType() + " scales";
      case Encoding.Int4 int4 ->
          "INT4 in groups of " + int4.group() + ", " + int4.scaleType() + " scales";
      case Encoding.Ggml ggml -> ggml.blocks().name();
    };
  }
}
