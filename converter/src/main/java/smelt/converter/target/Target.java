package smelt.converter.target;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import smelt.formats.experts.ExpertFormat;

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
  ASCEND_W8A8("ascend-w8a8"),
  /// compressed-tensors with INT4 in groups of 128, activations as they are.
  CT_W4A16("ct-w4a16"),
  /// Routed experts in INT4, groups of 32, for KTransformers' `RAWINT4`; the rest is plain.
  RAWINT4("rawint4"),
  /// Routed experts for KTransformers' `AMXINT8`.
  KT_AMX_INT8("kt-amx-int8", ExpertFormat.AMXINT8),
  /// Routed experts for KTransformers' `AMXINT4`.
  KT_AMX_INT4("kt-amx-int4", ExpertFormat.AMXINT4),
  /// Routed experts for KTransformers' `MOE_INT8` on AMD processors.
  KT_AOCL_INT8("kt-aocl-int8", ExpertFormat.MOE_INT8),
  /// A whole model for llama.cpp.
  GGUF("gguf", Kind.GGUF);

  /// What a target's folder holds.
  public enum Kind {
    /// A checkpoint: safetensors, config, index, tokenizer.
    CHECKPOINT,
    /// Routed experts alone, in the order of a CPU's kernels.
    EXPERTS,
    /// GGUF files.
    GGUF
  }

  private final String label;
  private final Kind kind;
  private final Optional<ExpertFormat> expertFormat;

  Target(String label) {
    this(label, Kind.CHECKPOINT);
  }

  Target(String label, Kind kind) {
    this.label = label;
    this.kind = kind;
    this.expertFormat = Optional.empty();
  }

  Target(String label, ExpertFormat format) {
    this.label = label;
    this.kind = Kind.EXPERTS;
    this.expertFormat = Optional.of(format);
  }

  /// The name in recipes, folders and reports.
  public String label() {
    return label;
  }

  public Kind kind() {
    return kind;
  }

  /// The form of a target of experts alone.
  public Optional<ExpertFormat> expertFormat() {
    return expertFormat;
  }

  /// The targets whose folder is a checkpoint again.
  public static List<Target> checkpoints() {
    return Stream.of(values()).filter(target -> target.kind == Kind.CHECKPOINT).toList();
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
