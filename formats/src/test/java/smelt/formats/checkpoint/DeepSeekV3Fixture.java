package smelt.formats.checkpoint;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.safetensors.SafetensorsLayout.Tensor;
import tools.jackson.databind.node.ObjectNode;

/// DeepSeek-V3 and V3.2 in their true sizes: the real config, 163 shards with the real names, types
/// and shapes. Only headers are written; the data is a hole that reads as zeros, so 688 GB take a
/// few megabytes on disk.
///
/// The names are listed here anew, apart from what the program derives from the config, so that
/// each checks the other.
public final class DeepSeekV3Fixture {

  public static final int SHARDS = 163;
  public static final long TENSORS = 91_991;
  public static final long TENSOR_BYTES = 688_574_839_360L;

  public static final long V32_TENSORS = 92_425;
  public static final long V32_TENSOR_BYTES = 689_468_986_496L;

  private static final long HIDDEN = 7168;
  private static final long VOCABULARY = 129_280;
  private static final long WIDTH = 18_432;
  private static final long EXPERT_WIDTH = 2048;
  private static final long EXPERTS = 256;
  private static final int LAYERS = 61;
  private static final int DENSE_LAYERS = 3;
  private static final long HEADS = 128;

  private static final Once V3 = new Once(folder -> draft().write(folder));
  private static final Once V32 = new Once(DeepSeekV3Fixture::writeWithIndexer);

  private static final String CONFIG =
      """
      {
        "architectures": ["DeepseekV3ForCausalLM"],
        "attention_bias": false,
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "ep_size": 1,
        "first_k_dense_replace": 3,
        "hidden_act": "silu",
        "hidden_size": 7168,
        "initializer_range": 0.02,
        "intermediate_size": 18432,
        "kv_lora_rank": 512,
        "max_position_embeddings": 163840,
        "model_type": "deepseek_v3",
        "moe_intermediate_size": 2048,
        "moe_layer_freq": 1,
        "n_group": 8,
        "n_routed_experts": 256,
        "n_shared_experts": 1,
        "norm_topk_prob": true,
        "num_attention_heads": 128,
        "num_experts_per_tok": 8,
        "num_hidden_layers": 61,
        "num_key_value_heads": 128,
        "num_nextn_predict_layers": 1,
        "q_lora_rank": 1536,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "quantization_config": {
          "activation_scheme": "dynamic",
          "fmt": "e4m3",
          "quant_method": "fp8",
          "weight_block_size": [128, 128]
        },
        "rms_norm_eps": 1e-06,
        "rope_scaling": {
          "beta_fast": 32,
          "beta_slow": 1,
          "factor": 40,
          "mscale": 1.0,
          "mscale_all_dim": 1.0,
          "original_max_position_embeddings": 4096,
          "type": "yarn"
        },
        "rope_theta": 10000,
        "routed_scaling_factor": 2.5,
        "scoring_func": "sigmoid",
        "tie_word_embeddings": false,
        "topk_group": 4,
        "topk_method": "noaux_tc",
        "torch_dtype": "bfloat16",
        "transformers_version": "4.33.1",
        "use_cache": true,
        "v_head_dim": 128,
        "vocab_size": 129280
      }
      """;

  private final List<Tensor> tensors = new ArrayList<>();
  private final boolean indexer;

  private DeepSeekV3Fixture(boolean indexer) {
    this.indexer = indexer;
  }

  /// Lays DeepSeek-V3 into a folder, and returns it. Its shards are those of every such folder:
  /// they may be deleted, but not changed.
  public static Path write(Path folder) throws IOException {
    return lay(V3, folder);
  }

  /// The same with DeepSeek-V3.2.
  public static Path writeV32(Path folder) throws IOException {
    return lay(V32, folder);
  }

  private static Path lay(Once model, Path folder) throws IOException {
    Files.createDirectories(folder);
    try (DirectoryStream<Path> files = Files.newDirectoryStream(model.folder())) {
      for (Path file : files) {
        Path to = folder.resolve(file.getFileName());
        if (file.toString().endsWith(".safetensors")) {
          Files.createLink(to, file);
        } else {
          Files.copy(file, to);
        }
      }
    }
    return folder;
  }

  @FunctionalInterface
  private interface Writing {
    Path write(Path folder) throws IOException;
  }

  /// What is written once in a process, and deleted at its end.
  private static final class Once {

    private final Writing writing;
    private Path written;

    Once(Writing writing) {
      this.writing = writing;
    }

    synchronized Path folder() throws IOException {
      if (written == null) {
        Path folder = Files.createTempDirectory("deepseek-v3");
        Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(folder)));
        written = writing.write(folder);
      }
      return written;
    }

    private static void delete(Path folder) {
      try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
        for (Path file : files) {
          Files.delete(file);
        }
        Files.delete(folder);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private static Path writeWithIndexer(Path folder) throws IOException {
    ObjectNode config = config();
    config.putArray("architectures").add("DeepseekV32ForCausalLM");
    config.put("model_type", "deepseek_v32");
    config.put("index_head_dim", 128).put("index_n_heads", 64).put("index_topk", 2048);
    config.withObject("quantization_config").put("scale_fmt", "ue8m0");
    return CheckpointDraft.spread(config, new DeepSeekV3Fixture(true).list(), SHARDS).write(folder);
  }

  /// DeepSeek-V3, to be changed before it is written.
  public static CheckpointDraft draft() {
    return CheckpointDraft.spread(config(), new DeepSeekV3Fixture(false).list(), SHARDS);
  }

  private static ObjectNode config() {
    return CheckpointDraft.JSON.readValue(CONFIG, ObjectNode.class);
  }

  private List<Tensor> list() {
    bf16("model.embed_tokens.weight", VOCABULARY, HIDDEN);
    for (int layer = 0; layer < LAYERS; layer++) {
      layer(layer, "model.layers." + layer + ".");
    }
    String mtp = "model.layers." + LAYERS + ".";
    bf16(mtp + "embed_tokens.weight", VOCABULARY, HIDDEN);
    bf16(mtp + "enorm.weight", HIDDEN);
    bf16(mtp + "hnorm.weight", HIDDEN);
    bf16(mtp + "eh_proj.weight", HIDDEN, 2 * HIDDEN);
    bf16(mtp + "shared_head.norm.weight", HIDDEN);
    bf16(mtp + "shared_head.head.weight", VOCABULARY, HIDDEN);
    layer(LAYERS, mtp);
    bf16("model.norm.weight", HIDDEN);
    bf16("lm_head.weight", VOCABULARY, HIDDEN);
    return tensors;
  }

  private void layer(int layer, String prefix) {
    attention(prefix + "self_attn.");
    bf16(prefix + "input_layernorm.weight", HIDDEN);
    bf16(prefix + "post_attention_layernorm.weight", HIDDEN);
    if (layer < DENSE_LAYERS) {
      feedForward(prefix + "mlp.", WIDTH);
      return;
    }
    bf16(prefix + "mlp.gate.weight", EXPERTS, HIDDEN);
    add(prefix + "mlp.gate.e_score_correction_bias", ElementType.F32, EXPERTS);
    for (int expert = 0; expert < EXPERTS; expert++) {
      feedForward(prefix + "mlp.experts." + expert + ".", EXPERT_WIDTH);
    }
    feedForward(prefix + "mlp.shared_experts.", EXPERT_WIDTH);
  }

  private void attention(String prefix) {
    fp8(prefix + "q_a_proj", 1536, HIDDEN);
    bf16(prefix + "q_a_layernorm.weight", 1536);
    fp8(prefix + "q_b_proj", HEADS * (128 + 64), 1536);
    fp8(prefix + "kv_a_proj_with_mqa", 512 + 64, HIDDEN);
    bf16(prefix + "kv_a_layernorm.weight", 512);
    fp8(prefix + "kv_b_proj", HEADS * (128 + 128), 512);
    fp8(prefix + "o_proj", HIDDEN, HEADS * 128);
    if (indexer) {
      fp8(prefix + "indexer.wq_b", 64 * 128, 1536);
      fp8(prefix + "indexer.wk", 128, HIDDEN);
      bf16(prefix + "indexer.k_norm.weight", 128);
      bf16(prefix + "indexer.k_norm.bias", 128);
      bf16(prefix + "indexer.weights_proj.weight", 64, HIDDEN);
    }
  }

  private void feedForward(String prefix, long width) {
    fp8(prefix + "gate_proj", width, HIDDEN);
    fp8(prefix + "up_proj", width, HIDDEN);
    fp8(prefix + "down_proj", HIDDEN, width);
  }

  private void fp8(String module, long rows, long cols) {
    add(module + ".weight", ElementType.F8_E4M3, rows, cols);
    add(module + ".weight_scale_inv", ElementType.F32, (rows + 127) / 128, (cols + 127) / 128);
  }

  private void bf16(String name, long... shape) {
    add(name, ElementType.BF16, shape);
  }

  private void add(String name, ElementType type, long... shape) {
    tensors.add(new Tensor(name, type, Shape.of(shape)));
  }
}
