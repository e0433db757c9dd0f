package smelt.verify.inference;

import java.util.Set;
import java.util.TreeSet;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;

/// How a checkpoint is quantized, in words.
final class Scheme {

  private Scheme() {}

  /// Such as `weights INT8 per channel, activations INT8 per token`.
  ///
  /// @param rounding of the activations, in words
  static String of(Checkpoint checkpoint, String rounding) {
    Set<String> coded = new TreeSet<>();
    Set<String> plain = new TreeSet<>();
    for (Weight weight : checkpoint.weights()) {
      switch (weight.encoding()) {
        case Encoding.Plain(ElementType type) -> plain.add(type.name());
        case Encoding.Block b ->
            coded.add(type(b.type()) + " in blocks of " + b.blockRows() + " x " + b.blockCols());
        case Encoding.Channel c -> coded.add(type(c.type()) + " per channel");
        case Encoding.Int4 i -> coded.add("INT4 in groups of " + i.group());
        case Encoding.Ggml(var blocks) -> coded.add(blocks.name());
      }
    }
    return coded.isEmpty()
        ? "plain " + String.join(" and ", plain)
        : "weights " + String.join(" and ", coded) + ", activations " + rounding;
  }

  private static String type(ElementType type) {
    return type == ElementType.I8 ? "INT8" : type.name().replace("F8_", "");
  }
}
