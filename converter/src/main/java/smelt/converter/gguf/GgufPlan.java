package smelt.converter.gguf;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.ModelConfig;
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
  /// @throws UnsupportedException for an architecture, a setting or a tokenizer that llama.cpp's
  ///   `deepseek2` cannot express
  /// @throws smelt.formats.BadInputException if the config or the tokenizer is damaged
  public static GgufPlan of(Checkpoint checkpoint, ModelSource source, GgufOptions options)
      throws IOException {
    requireKnown(checkpoint);
    ModelConfig config = checkpoint.config();
    List<String> notes = new ArrayList<>();
    DeepSeekTensors tensors = DeepSeekTensors.of(checkpoint, options.linear(), notes);
    SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
    metadata.put("general.architecture", new GgufValue.Text(DeepSeekMetadata.ARCHITECTURE));
    metadata.put("general.type", new GgufValue.Text("model"));
    options.name().ifPresent(name -> metadata.put("general.name", new GgufValue.Text(name)));
    metadata.put("general.size_label", new GgufValue.Text(SizeLabel.of(tensors.layoutTensors())));
    metadata.putAll(DeepSeekMetadata.of(config));
    metadata.put("general.file_type", new GgufValue.U32(fileType(options.linear())));
    metadata.put("general.quantization_version", new GgufValue.U32(2));
    metadata.putAll(TokenizerMetadata.of(source, config, notes));
    GgufLayout layout = GgufLayout.of(metadata, tensors.layoutTensors());
    return new GgufPlan(
        checkpoint, layout, metadata, tensors.parts(layout), tensors.dropped(), notes);
  }

  private static void requireKnown(Checkpoint checkpoint) {
    if (checkpoint.architecture() != Architecture.DEEPSEEK_V3) {
      throw new UnsupportedException(
          checkpoint.location() + ": GGUF of " + checkpoint.architecture().className(),
          Architecture.DEEPSEEK_V3.className() + " can be written");
    }
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
  public List<GgufPart> parts() {
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
