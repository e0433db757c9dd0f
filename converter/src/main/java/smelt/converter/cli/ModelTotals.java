package smelt.converter.cli;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Leftover;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;

/// Sums over a checkpoint, from its headers.
///
/// @param roles by label, in the order in which they come first
/// @param parts by where in the model: outside the layers, dense, mixture-of-experts, MTP layers
/// @param encodings by the words of [#words]
/// @param types stored tensors and their bytes by element type
record ModelTotals(
    SequencedMap<String, Total> roles,
    SequencedMap<String, Total> parts,
    SequencedMap<String, Total> encodings,
    Map<ElementType, Stored> types) {

  /// Sum over weights.
  ///
  /// @param weights tensors as the model means them
  /// @param tensors stored tensors: codes and scales
  /// @param parameters elements of the weights
  /// @param bytes of codes and scales
  record Total(long weights, long tensors, long parameters, long bytes) {
    static final Total NONE = new Total(0, 0, 0, 0);

    Total plus(Total other) {
      return new Total(
          weights + other.weights,
          tensors + other.tensors,
          Math.addExact(parameters, other.parameters),
          Math.addExact(bytes, other.bytes));
    }

    static Total of(Weight weight) {
      int tensors = weight.scale().isPresent() ? 2 : 1;
      return new Total(1, tensors, weight.shape().elements(), weight.bytes());
    }
  }

  /// Sum over stored tensors.
  record Stored(long tensors, long bytes) {}

  static ModelTotals of(Checkpoint model) {
    ModelTotals totals =
        new ModelTotals(
            new LinkedHashMap<>(), new LinkedHashMap<>(), new LinkedHashMap<>(), new TreeMap<>());
    for (Weight weight : model.weights()) {
      Total one = Total.of(weight);
      totals.roles.merge(weight.role().label(), one, Total::plus);
      totals.parts.merge(part(model, weight.role()), one, Total::plus);
      totals.encodings.merge(words(weight.encoding()), one, Total::plus);
      totals.store(weight.codes());
      weight.scale().ifPresent(totals::store);
    }
    for (Leftover leftover : model.leftovers()) {
      totals.store(leftover.tensor());
    }
    return totals;
  }

  /// Sum over all weights.
  Total all() {
    return roles.values().stream().reduce(Total.NONE, Total::plus);
  }

  /// Sum over one part; nothing where the model has none.
  Total part(String name) {
    return parts.getOrDefault(name, Total.NONE);
  }

  private void store(SourceTensor tensor) {
    types.merge(
        tensor.type(),
        new Stored(1, tensor.bytes()),
        (a, b) -> new Stored(a.tensors + b.tensors, Math.addExact(a.bytes, b.bytes)));
  }

  private static String part(Checkpoint model, TensorRole role) {
    if (role.layer().isEmpty()) {
      return "outside layers";
    }
    int layer = role.layer().getAsInt();
    if (layer >= model.config().numHiddenLayers()) {
      return "MTP layers";
    }
    return layer < model.config().firstDenseLayers() ? "dense layers" : "layers";
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
    };
  }
}
