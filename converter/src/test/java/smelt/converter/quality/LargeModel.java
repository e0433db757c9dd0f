package smelt.converter.quality;

import java.io.IOException;
import java.nio.file.Path;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.SyntheticCheckpoint;

/// Writes a checkpoint of about so many gigabytes: DeepSeek-V3's architecture in FP8, hidden size
/// 2048, 64 experts of width 1024, random weights. To see that memory does not depend on the size:
///
///     smelt convert BIG --recipe int8-channel -o OUT
///     smelt verify OUT --against BIG --memory 2G --tokens 2048
public final class LargeModel {

  private static final long BYTES_PER_LAYER = 420_000_000;

  private LargeModel() {}

  /// @param args the folder; gigabytes, by default 8
  public static void main(String[] args) throws IOException {
    double gigabytes = args.length > 1 ? Double.parseDouble(args[1]) : 8;
    System.out.println(write(Path.of(args[0]), (long) (gigabytes * 1e9)));
  }

  static Path write(Path folder, long bytes) throws IOException {
    int layers = Math.toIntExact(Math.max(2, bytes / BYTES_PER_LAYER));
    return SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
        .form(SyntheticCheckpoint.Form.FP8_BLOCK)
        .with("hidden_size", 2048)
        .with("vocab_size", 22_528)
        .with("num_hidden_layers", layers)
        .with("num_nextn_predict_layers", 0)
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
        .with("v_head_dim", 128)
        .shards(Math.max(2, layers / 2))
        .write(folder);
  }
}
