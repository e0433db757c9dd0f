package smelt.converter.gguf;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.TensorRole.AttentionPart;
import smelt.formats.checkpoint.Weight;

/// The tensors of llama.cpp's `deepseek2`, from the weights of a DeepSeek-V2 or V3. Dimensions are
/// those of the checkpoint in reverse order; `blk.N.` stands in front of what a layer has.
///
/// | weight | tensor | dimensions |
/// |---|---|---|
/// | embedding, final norm, head | `token_embd`, `output_norm`, `output` | H, vocabulary; H; H, vocabulary |
/// | norms of a layer | `attn_norm`, `ffn_norm`, `attn_q_a_norm`, `attn_kv_a_norm` | |
/// | `q_a_proj`, `q_b_proj`, `q_proj`, `kv_a_proj_with_mqa`, `o_proj` | `attn_q_a`, `attn_q_b`, `attn_q`, `attn_kv_a_mqa`, `attn_output` | |
/// | `kv_b_proj`, its first `nope` rows of each head | `attn_k_b`, each head transposed | nope, kv rank, heads |
/// | `kv_b_proj`, its last `v` rows of each head | `attn_v_b` | kv rank, v, heads |
/// | `kv_b_proj` as a whole, if it is wanted fused | `attn_kv_b` | kv rank, heads (nope + v) |
/// | feed-forward of dense layers | `ffn_gate`, `ffn_up`, `ffn_down` | |
/// | router, correction bias | `ffn_gate_inp`, `exp_probs_b.bias` | H, experts; experts |
/// | routed experts, stacked in their order | `ffn_gate_exps`, `ffn_up_exps`, `ffn_down_exps` | columns, rows, experts |
/// | shared expert | `ffn_gate_shexp`, `ffn_up_shexp`, `ffn_down_shexp` | |
///
/// The order is that of llama.cpp's own quantizer: by layer, what belongs to none first, then by
/// name. Layers of multi-token prediction have no place: the engine's `deepseek2` ignores them.
final class DeepSeekTensors {

  private static final String MTP_REASON =
      "a layer of multi-token prediction, which llama.cpp's deepseek2 does not run";

  /// Norms have a role in common; their names tell them apart.
  private static final Map<String, String> NORMS =
      Map.of(
          "input_layernorm.weight", "attn_norm.weight",
          "post_attention_layernorm.weight", "ffn_norm.weight",
          "self_attn.q_a_layernorm.weight", "attn_q_a_norm.weight",
          "self_attn.kv_a_layernorm.weight", "attn_kv_a_norm.weight");

  private final ModelConfig config;
  private final LatentForm latent;
  private final TensorDrafts drafts;

  private DeepSeekTensors(ModelConfig config, GgufOptions options) {
    this.config = config;
    latent = options.latent();
    drafts = new TensorDrafts(options.types(), config.routedExperts().orElse(0));
  }

  static GgufMapping of(Checkpoint checkpoint, GgufOptions options) {
    DeepSeekTensors tensors = new DeepSeekTensors(checkpoint.config(), options);
    checkpoint.weights().forEach(tensors::add);
    return tensors.drafts.mapping();
  }

  private void add(Weight weight) {
    if (weight.role().layer().orElse(-1) >= config.numHiddenLayers()) {
      drafts.drop(weight, MTP_REASON);
      return;
    }
    switch (weight.role()) {
      case TensorRole.Embedding _ ->
          drafts.linear(TensorDrafts.OUTSIDE, "token_embd.weight", weight);
      case TensorRole.Head _ -> drafts.linear(TensorDrafts.OUTSIDE, "output.weight", weight);
      case TensorRole.FinalNorm _ ->
          drafts.exact(TensorDrafts.OUTSIDE, "output_norm.weight", weight);
      case TensorRole.Norm(int layer) -> drafts.exact(layer, norm(weight, layer), weight);
      case TensorRole.Attention(int layer, AttentionPart part) -> attention(layer, part, weight);
      case TensorRole.DenseMlp(int layer, var projection) ->
          drafts.linear(layer, "ffn_" + TensorDrafts.lower(projection) + ".weight", weight);
      case TensorRole.Router(int layer) -> drafts.exact(layer, "ffn_gate_inp.weight", weight);
      case TensorRole.RouterBias(int layer) -> drafts.exact(layer, "exp_probs_b.bias", weight);
      case TensorRole.RoutedExpert(int layer, _, var projection) ->
          drafts.expert(layer, projection, weight);
      case TensorRole.SharedExpert(int layer, var projection) ->
          drafts.linear(layer, "ffn_" + TensorDrafts.lower(projection) + "_shexp.weight", weight);
      case TensorRole.AttentionBias _,
          TensorRole.Indexer _,
          TensorRole.Mtp _,
          TensorRole.Foreign _ ->
          throw new UnsupportedException(
              weight.name(), "llama.cpp's deepseek2 has no place for this weight");
    }
  }

  private static String norm(Weight weight, int layer) {
    String name = NORMS.get(weight.name().substring(("model.layers." + layer + ".").length()));
    if (name == null) {
      throw new UnsupportedException(
          weight.name(), "llama.cpp's deepseek2 has no place for this weight");
    }
    return name;
  }

  private void attention(int layer, AttentionPart part, Weight weight) {
    switch (part) {
      case Q -> drafts.linear(layer, "attn_q.weight", weight);
      case Q_A -> drafts.linear(layer, "attn_q_a.weight", weight);
      case Q_B -> drafts.linear(layer, "attn_q_b.weight", weight);
      case KV_A -> drafts.linear(layer, "attn_kv_a_mqa.weight", weight);
      case KV_B -> {
        switch (latent) {
          case SPLIT -> keysAndValues(layer, weight);
          case FUSED -> drafts.linear(layer, "attn_kv_b.weight", weight);
        }
      }
      case O -> drafts.linear(layer, "attn_output.weight", weight);
      case K, V -> throw new IllegalStateException(weight.name() + " in a DeepSeek-V3");
    }
  }

  private void keysAndValues(int layer, Weight weight) {
    int heads = config.numAttentionHeads();
    long nope = config.requireInt("qk_nope_head_dim", 1, 1 << 16);
    long v = config.requireInt("v_head_dim", 1, 1 << 16);
    long rank = config.kvLoraRank();
    List<Slab> keys = new ArrayList<>();
    List<Slab> values = new ArrayList<>();
    for (int head = 0; head < heads; head++) {
      long row = head * (nope + v);
      keys.add(new Slab(weight, row, nope, Slab.Order.TRANSPOSED));
      values.add(new Slab(weight, row + nope, v, Slab.Order.PLAIN));
    }
    drafts.slabs(layer, "attn_k_b.weight", weight, List.of(nope, rank, (long) heads), keys);
    drafts.slabs(layer, "attn_v_b.weight", weight, List.of(rank, v, (long) heads), values);
  }
}
