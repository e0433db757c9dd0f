package smelt.converter.gguf;

import java.util.List;
import smelt.formats.gguf.GgufTensor;

/// One tensor of the file and what it is made of, in the order of its data.
public record GgufPart(GgufTensor tensor, List<Slab> slabs) {

  public GgufPart {
    slabs = List.copyOf(slabs);
  }
}
