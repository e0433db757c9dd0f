package smelt.converter.gguf;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SequencedMap;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufLayout;
import smelt.formats.gguf.GgufValue;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// A model's tensors and metadata as one file.
record PlannedGguf(
    GgufLayout layout,
    SequencedMap<String, GgufValue> metadata,
    List<GgufMapping.Dropped> dropped,
    List<String> notes) {

  static PlannedGguf of(Path model, GgmlType type) throws IOException {
    return of(model, GgufOptions.of(type));
  }

  static PlannedGguf of(Path model, GgufOptions options) throws IOException {
    try (ModelSource source = ModelSources.open(model)) {
      Checkpoint checkpoint = Checkpoint.open(source);
      GgufMapping mapping = GgufMapping.of(checkpoint, options);
      List<String> notes = new ArrayList<>(mapping.notes());
      SequencedMap<String, GgufValue> metadata =
          GgufMetadata.of(checkpoint, source, options, mapping, notes);
      GgufLayout layout =
          GgufLayout.of(
              metadata, mapping.tensors().stream().map(GgufMapping.Tensor::layoutTensor).toList());
      return new PlannedGguf(layout, metadata, mapping.dropped(), notes);
    }
  }
}
