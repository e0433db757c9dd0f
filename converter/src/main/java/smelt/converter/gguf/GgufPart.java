package smelt.converter.gguf;

import java.util.List;
import smelt.formats.gguf.GgufTensor;

/// One tensor of the file and what it is made of, in the order of its data.
record GgufPart(GgufTensor tensor, GgufMapping.Content content) {

  /// The slabs of weights that it is made of; none where its numbers follow from the config.
  List<Slab> slabs() {
    return switch (content) {
      case GgufMapping.Content.Weights(List<Slab> slabs) -> slabs;
      case GgufMapping.Content.Numbers _ -> List.of();
    };
  }
}
