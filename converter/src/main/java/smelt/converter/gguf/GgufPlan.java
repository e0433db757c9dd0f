package smelt.converter.gguf;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufLayout;
import smelt.formats.gguf.GgufValue;
import smelt.formats.source.ModelSource;

/// Everything about a GGUF file before one of its bytes is written: metadata, tensors, offsets,
/// which weights each is made of, and what of the checkpoint is not in it. A pure function of the
/// checkpoint, its tokenizer files, and the options.
public final class GgufPlan {

  /// A weight that is not in the file.
  public record Dropped(String weight, String reason) {}

  private final Checkpoint checkpoint;
  private final GgufLayout layout;
  private final SequencedMap<String, GgufValue> metadata;
  private final List<GgufPart> parts;
  private final List<Dropped> dropped;
  private final List<String> notes;

  private GgufPlan(
      Checkpoint checkpoint,
      GgufLayout layout,
      SequencedMap<String, GgufValue> metadata,
      List<GgufPart> parts,
      List<Dropped> dropped,
      List<String> notes) {
    this.checkpoint = checkpoint;
    this.layout = layout;
    this.metadata = metadata;
    this.parts = List.copyOf(parts);
    this.dropped = List.copyOf(dropped);
    this.notes = List.copyOf(notes);
  }

  /// Plans the file for a checkpoint.
  ///
  /// @param source the model that the checkpoint was read from: its tokenizer goes into the file
  /// @throws UnsupportedException for an architecture, a setting or a tokenizer that llama.cpp
  ///   cannot express
  /// @throws smelt.formats.BadInputException if the config or the tokenizer is damaged
  public static GgufPlan of(Checkpoint checkpoint, ModelSource source, GgufOptions options)
      throws IOException {
    GgufMapping mapping = GgufMapping.of(checkpoint, options.types());
    List<String> notes = new ArrayList<>(mapping.notes());
    SequencedMap<String, GgufValue> metadata =
        metadata(checkpoint, source, options, mapping, notes);
    GgufLayout layout =
        GgufLayout.of(
            metadata, mapping.tensors().stream().map(GgufMapping.Tensor::layoutTensor).toList());
    List<GgufPart> parts =
        mapping.tensors().stream()
            .map(tensor -> new GgufPart(layout.tensor(tensor.name()), tensor.content()))
            .toList();
    return new GgufPlan(checkpoint, layout, metadata, parts, mapping.dropped(), notes);
  }

  /// The metadata of a model, in the order of the file, without the keys of a split.
  ///
  /// @param notes where a missing tokenizer is mentioned
  public static SequencedMap<String, GgufValue> metadata(
      Checkpoint checkpoint,
      ModelSource source,
      GgufOptions options,
      GgufMapping mapping,
      List<String> notes)
      throws IOException {
    SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
    String architecture = GroupedMetadata.name(checkpoint.architecture());
    metadata.put("general.architecture", new GgufValue.Text(architecture));
    metadata.put("general.type", new GgufValue.Text("model"));
    options.name().ifPresent(name -> metadata.put("general.name", new GgufValue.Text(name)));
    List<GgufLayout.Tensor> tensors =
        mapping.tensors().stream().map(GgufMapping.Tensor::layoutTensor).toList();
    metadata.put("general.size_label", new GgufValue.Text(SizeLabel.of(tensors)));
    switch (checkpoint.architecture()) {
      case DEEPSEEK_V2, DEEPSEEK_V3, DEEPSEEK_V32 ->
          metadata.putAll(DeepSeekMetadata.of(checkpoint.architecture(), checkpoint.config()));
      case LLAMA, QWEN2, QWEN3_MOE, MIXTRAL -> metadata.putAll(GroupedMetadata.of(checkpoint));
    }
    metadata.put("general.file_type", new GgufValue.U32(fileType(options.types().linear())));
    metadata.put("general.quantization_version", new GgufValue.U32(2));
    metadata.putAll(TokenizerMetadata.of(source, checkpoint.config(), notes));
    return metadata;
  }

  /// llama.cpp's number for a file that is mostly of a type.
  private static int fileType(GgmlType type) {
    return switch (type) {
      case F32 -> 0;
      case F16 -> 1;
      case Q8_0 -> 7;
      case BF16 -> 32;
      default -> throw new IllegalStateException("no file type for " + type);
    };
  }

  void requireMadeFor(Checkpoint other) {
    if (other != checkpoint) {
      throw new IllegalArgumentException("a plan for " + checkpoint.location());
    }
  }

  /// Where every byte of the file will lie.
  public GgufLayout layout() {
    return layout;
  }

  /// The file's metadata, in its order.
  public SequencedMap<String, GgufValue> metadata() {
    return java.util.Collections.unmodifiableSequencedMap(metadata);
  }

  /// Tensors in the order of the file.
  List<GgufPart> parts() {
    return parts;
  }

  /// The checkpoint's weights that are not in the file, each with the reason.
  public List<Dropped> dropped() {
    return dropped;
  }

  /// What else there is to know, as sentences: tensors in another type than asked for, a tokenizer
  /// that is missing.
  public List<String> notes() {
    return notes;
  }
}
