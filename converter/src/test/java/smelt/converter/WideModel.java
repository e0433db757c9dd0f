package smelt.converter;

import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.SyntheticCheckpoint;

/// A checkpoint for measurements: DeepSeek-V3's architecture in FP8, as wide as its small relatives
/// (hidden size 2048, 64 experts of width 1024), with random weights.
public final class WideModel {

  private WideModel() {}

  /// Some 420 MB for each layer but the first.
  ///
  /// @param layers of which the first is dense
  public static SyntheticCheckpoint of(int layers) {
    return SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
        .form(SyntheticCheckpoint.Form.FP8_BLOCK)
        .with("hidden_size", 2048)
        .with("vocab_size", 22_528)
        .with("num_hidden_layers", layers)
        .with("first_k_dense_replace", 1)
        .with("intermediate_size", 8192)
        .with("moe_intermediate_size", 1024)
        .with("n_routed_experts", 64)
        .with("n_group", 8)
        .with("topk_group", 4)
        .with("num_experts_per_tok", 8)
        .with("num_attention_heads", 16)
        .with("num_key_value_heads", 16)
        .with("q_lora_rank", 1536)
        .with("kv_lora_rank", 512)
        .with("qk_nope_head_dim", 128)
        .with("qk_rope_head_dim", 64)
        .with("v_head_dim", 128);
  }
}
