package smelt.converter.gguf;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufLayout;
import smelt.formats.gguf.GgufValue;
import smelt.formats.source.ModelSource;

/// The metadata of GGUF files: what llama.cpp is told about a model beside its tensors. A pure
/// function of the checkpoint, its tokenizer files, and the options.
public final class GgufMetadata {

  private GgufMetadata() {}

  /// The metadata of a model, in the order of the file, without the keys of a split.
  ///
  /// @param notes where a missing tokenizer is mentioned
  public static SequencedMap<String, GgufValue> of(
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
          metadata.putAll(
              DeepSeekMetadata.of(
                  checkpoint.architecture(), checkpoint.config(), options.latent()));
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
      case Q4_0 -> 2;
      case Q4_1 -> 3;
      case Q8_0 -> 7;
      case Q5_0 -> 8;
      case Q5_1 -> 9;
      case Q2_K -> 10;
      case Q3_K -> 11;
      case Q4_K -> 14;
      case Q5_K -> 16;
      case Q6_K -> 18;
      case IQ4_NL -> 25;
      case IQ4_XS -> 30;
      case BF16 -> 32;
      case MXFP4 -> 38;
      default -> throw new IllegalStateException("no file type for " + type);
    };
  }
}
