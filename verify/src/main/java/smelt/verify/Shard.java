package smelt.verify;

import java.util.List;
import java.util.Map;
import smelt.formats.checkpoint.SourceTensor;

/// One safetensors file, as its header tells.
///
/// @param headerBytes the header's length with its padding, without the eight bytes before it
/// @param metadata `__metadata__`; empty when there is none
/// @param tensors by offset
record Shard(
    String file,
    long size,
    long headerBytes,
    Map<String, String> metadata,
    List<SourceTensor> tensors) {

  Shard {
    metadata = Map.copyOf(metadata);
    tensors = List.copyOf(tensors);
  }
}
