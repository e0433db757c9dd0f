package smelt.formats.checkpoint;

import tools.jackson.databind.node.ObjectNode;

/// Small configs of every supported architecture, with the keys of the published ones.
final class SyntheticConfigs {

  private SyntheticConfigs() {}

  static ObjectNode config(Architecture architecture) {
    ObjectNode config = CheckpointDraft.JSON.createObjectNode();
    config.putArray("architectures").add(architecture.className());
    config.put("model_type", modelType(architecture));
    config.put("hidden_act", "silu").put("hidden_size", 192).put("intermediate_size", 320);
    config.put("vocab_size", 512).put("max_position_embeddings", 256);
    config.put("num_attention_heads", 4).put("num_hidden_layers", 3);
    config.put("rms_norm_eps", 1e-6).put("rope_theta", 10000.0);
    config.put("tie_word_embeddings", false).put("torch_dtype", "bfloat16");
    switch (architecture) {
      case DEEPSEEK_V2 -> deepSeek(config).putNull("q_lora_rank").put("topk_method", "greedy");
      case DEEPSEEK_V3 -> deepSeekV3(config);
      case DEEPSEEK_V32 ->
          deepSeekV3(config)
              .put("index_head_dim", 32)
              .put("index_n_heads", 4)
              .put("index_topk", 64);
      case QWEN3_MOE -> qwen3Moe(config);
      case QWEN2, LLAMA -> config.put("num_key_value_heads", 2);
      case MIXTRAL ->
          config
              .put("num_key_value_heads", 2)
              .put("num_local_experts", 4)
              .put("num_experts_per_tok", 2);
    }
    return config;
  }

  private static String modelType(Architecture architecture) {
    return switch (architecture) {
      case DEEPSEEK_V2 -> "deepseek_v2";
      case DEEPSEEK_V3 -> "deepseek_v3";
      case DEEPSEEK_V32 -> "deepseek_v32";
      case QWEN3_MOE -> "qwen3_moe";
      case QWEN2 -> "qwen2";
      case LLAMA -> "llama";
      case MIXTRAL -> "mixtral";
    };
  }

  private static ObjectNode deepSeek(ObjectNode config) {
    return config
        .put("first_k_dense_replace", 1)
        .put("kv_lora_rank", 64)
        .put("moe_intermediate_size", 96)
        .put("moe_layer_freq", 1)
        .put("n_group", 1)
        .put("n_routed_experts", 8)
        .put("n_shared_experts", 2)
        .put("norm_topk_prob", false)
        .put("num_experts_per_tok", 2)
        .put("num_key_value_heads", 4)
        .put("qk_nope_head_dim", 32)
        .put("qk_rope_head_dim", 16)
        .put("routed_scaling_factor", 1.0)
        .put("scoring_func", "softmax")
        .put("topk_group", 1)
        .put("v_head_dim", 32);
  }

  private static ObjectNode deepSeekV3(ObjectNode config) {
    return deepSeek(config)
        .put("n_group", 2)
        .put("n_shared_experts", 1)
        .put("norm_topk_prob", true)
        .put("num_nextn_predict_layers", 1)
        .put("q_lora_rank", 96)
        .put("routed_scaling_factor", 2.5)
        .put("scoring_func", "sigmoid")
        .put("topk_group", 1)
        .put("topk_method", "noaux_tc");
  }

  private static ObjectNode qwen3Moe(ObjectNode config) {
    config
        .put("attention_bias", false)
        .put("decoder_sparse_step", 1)
        .put("head_dim", 64)
        .put("moe_intermediate_size", 96)
        .put("norm_topk_prob", true)
        .put("num_experts", 8)
        .put("num_experts_per_tok", 2)
        .put("num_key_value_heads", 2);
    config.putArray("mlp_only_layers");
    return config;
  }
}
