package smelt.converter.target;

import java.util.Optional;

/// What can be written, under the names that recipes use.
public enum Target {
  /// Plain BF16 safetensors, no quantization.
  BF16("bf16"),
  /// DeepSeek's own form: E4M3 in 128 x 128 blocks.
  FP8_BLOCK("fp8-block"),
  /// compressed-tensors with E4M3 in 128 x 128 blocks.
  CT_FP8_BLOCK("ct-fp8-block"),
  /// compressed-tensors with E4M3 and one scale per output channel.
  CT_FP8_CHANNEL("ct-fp8-channel"),
  /// INT8 with one scale per output channel (SGLang `w8a8_int8`).
  INT8_CHANNEL("int8-channel"),
  /// INT8 in 128 x 128 blocks (SGLang `blockwise_int8`).
  INT8_BLOCK("int8-block"),
  /// compressed-tensors with INT8 and one scale per output channel.
  CT_INT8("ct-int8"),
  /// INT8 as vllm-ascend and MindIE read it (`W8A8_DYNAMIC`).
  ASCEND_W8A8("ascend-w8a8");

  private final String label;

  Target(String label) {
    this.label = label;
  }

  /// The name in recipes, folders and reports.
  public String label() {
    return label;
  }

  /// The target of that name; names are lower case.
  public static Optional<Target> named(String name) {
    for (Target target : values()) {
      if (target.label.equals(name)) {
        return Optional.of(target);
      }
    }
    return Optional.empty();
  }
}
