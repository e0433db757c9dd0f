package smelt.formats.checkpoint;

import java.util.Locale;
import java.util.Set;

/// A file of a model that is not one of its shards.
///
/// @param name relative to the model's root
/// @param size in bytes
public record SideFile(String name, long size, Kind kind) {

  public enum Kind {
    /// `config.json`.
    CONFIG,
    /// The index that joined the shards.
    INDEX,
    /// A safetensors file beside the shards that the index does not list. It holds no tensor of the
    /// model.
    STRAY_SHARD,
    /// Weights in another form or another folder: pickle, GGUF, ONNX, ... Never read.
    OTHER_WEIGHTS,
    /// Python code of the model's author. Never run.
    CODE,
    /// Tokenizer, generation config, chat template, license, and the like.
    OTHER
  }

  private static final Set<String> WEIGHT_ENDINGS =
      Set.of("safetensors", "bin", "pt", "pth", "ckpt", "gguf", "h5", "msgpack", "onnx", "ot");

  /// What a file that is neither config, index nor shard is, by its ending.
  static Kind kindOf(String name) {
    String ending = name.substring(name.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
    if (WEIGHT_ENDINGS.contains(ending)) {
      return Kind.OTHER_WEIGHTS;
    }
    return ending.equals("py") ? Kind.CODE : Kind.OTHER;
  }
}
