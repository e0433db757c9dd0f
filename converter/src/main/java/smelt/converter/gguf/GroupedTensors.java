package smelt.converter.gguf;

import java.util.ArrayList;
import java.util.List;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.TensorRole.AttentionPart;
import smelt.formats.checkpoint.Weight;

/// The tensors of llama.cpp's `llama` (Llama and Mixtral), `qwen2` and `qwen3moe`.
///
/// | weight | tensor |
/// |---|---|
/// | embedding, final norm, head | `token_embd`, `output_norm`, `output` (none where it is the embedding) |
/// | norms of a layer | `attn_norm`, `ffn_norm`, `attn_q_norm`, `attn_k_norm` |
/// | `q_proj`, `k_proj`, `v_proj`, `o_proj` | `attn_q`, `attn_k`, `attn_v`, `attn_output` |
/// | feed-forward of dense layers, router, experts | as in `deepseek2` |
/// | frequencies that Llama 3 stretches | `rope_freqs`, divisors, one for each pair |
///
/// The engine's `llama` rotates neighbours where the checkpoint's definition rotates the halves of
/// a head: the rows of each head of `q_proj` and `k_proj` are reordered, the pairs side by side.
final class GroupedTensors {

  private final Architecture architecture;
  private final ModelConfig config;
  private final boolean reordered;
  private final TensorDrafts drafts;

  private GroupedTensors(Checkpoint checkpoint, GgufTypes types) {
    architecture = checkpoint.architecture();
    config = checkpoint.config();
    reordered = architecture == Architecture.LLAMA || architecture == Architecture.MIXTRAL;
    drafts = new TensorDrafts(types, config.routedExperts().orElse(0));
  }

  static GgufMapping of(Checkpoint checkpoint, GgufTypes types) {
    GroupedTensors tensors = new GroupedTensors(checkpoint, types);
    checkpoint.weights().forEach(tensors::add);
    List<Float> divisors = RopeMetadata.llama3Divisors(tensors.config);
    if (!divisors.isEmpty()) {
      tensors.drafts.numbers("rope_freqs.weight", divisors);
    }
    return tensors.drafts.mapping();
  }

  private void add(Weight weight) {
    switch (weight.role()) {
      case TensorRole.Embedding _ ->
          drafts.linear(TensorDrafts.OUTSIDE, "token_embd.weight", weight);
      case TensorRole.Head _ -> head(weight);
      case TensorRole.FinalNorm _ ->
          drafts.exact(TensorDrafts.OUTSIDE, "output_norm.weight", weight);
      case TensorRole.Norm(int layer) -> drafts.exact(layer, norm(weight, layer), weight);
      case TensorRole.Attention(int layer, AttentionPart part) -> attention(layer, part, weight);
      case TensorRole.AttentionBias(int layer, AttentionPart part) -> bias(layer, part, weight);
      case TensorRole.DenseMlp(int layer, var projection) -> {
        if (architecture == Architecture.QWEN3_MOE) {
          throw noPlace(weight);
        }
        drafts.linear(layer, "ffn_" + TensorDrafts.lower(projection) + ".weight", weight);
      }
      case TensorRole.Router(int layer) -> drafts.exact(layer, "ffn_gate_inp.weight", weight);
      case TensorRole.RoutedExpert(int layer, _, var projection) ->
          drafts.expert(layer, projection, weight);
      case TensorRole.RouterBias _,
          TensorRole.SharedExpert _,
          TensorRole.Indexer _,
          TensorRole.Mtp _,
          TensorRole.Foreign _ ->
          throw noPlace(weight);
    }
  }

  private UnsupportedException noPlace(Weight weight) {
    return new UnsupportedException(
        weight.name(),
        "llama.cpp's " + GroupedMetadata.name(architecture) + " has no place for this weight");
  }

  private void head(Weight weight) {
    if (config.tiedEmbeddings()) {
      drafts.drop(weight, "the head is the embedding");
    } else {
      drafts.linear(TensorDrafts.OUTSIDE, "output.weight", weight);
    }
  }

  private String norm(Weight weight, int layer) {
    return switch (weight.name().substring(("model.layers." + layer + ".").length())) {
      case "input_layernorm.weight" -> "attn_norm.weight";
      case "post_attention_layernorm.weight" -> "ffn_norm.weight";
      case "self_attn.q_norm.weight" -> "attn_q_norm.weight";
      case "self_attn.k_norm.weight" -> "attn_k_norm.weight";
      default -> throw noPlace(weight);
    };
  }

  private void attention(int layer, AttentionPart part, Weight weight) {
    switch (part) {
      case Q -> rotated(layer, "attn_q.weight", config.numAttentionHeads(), weight);
      case K -> rotated(layer, "attn_k.weight", config.numKeyValueHeads(), weight);
      case V -> drafts.linear(layer, "attn_v.weight", weight);
      case O -> drafts.linear(layer, "attn_output.weight", weight);
      case Q_A, Q_B, KV_A, KV_B -> throw noPlace(weight);
    }
  }

  private void rotated(int layer, String name, int heads, Weight weight) {
    if (!reordered) {
      drafts.linear(layer, name, weight);
      return;
    }
    long size = config.headDim();
    List<Slab> slabs = new ArrayList<>();
    for (int head = 0; head < heads; head++) {
      slabs.add(new Slab(weight, head * size, size, Slab.Order.HALVES_BY_TURNS));
    }
    drafts.slabs(layer, name, weight, weight.shape().dims().reversed(), slabs);
  }

  private void bias(int layer, AttentionPart part, Weight weight) {
    if (architecture != Architecture.QWEN2) {
      throw noPlace(weight);
    }
    drafts.exact(layer, "attn_" + TensorDrafts.lower(part) + ".bias", weight);
  }
}
