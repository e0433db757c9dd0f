package smelt.converter.gguf;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import smelt.converter.gguf.GgufPlan.Dropped;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.TensorRole.AttentionPart;
import smelt.formats.checkpoint.Weight;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufLayout;

/// The tensors of llama.cpp's `deepseek2`, from the weights of a DeepSeek-V3. Dimensions are those
/// of the checkpoint in reverse order; `blk.N.` stands in front of what a layer has.
///
/// | weight | tensor | dimensions |
/// |---|---|---|
/// | embedding, final norm, head | `token_embd`, `output_norm`, `output` | H, vocabulary; H; H, vocabulary |
/// | norms of a layer | `attn_norm`, `ffn_norm`, `attn_q_a_norm`, `attn_kv_a_norm` | |
/// | `q_a_proj`, `q_b_proj`, `q_proj`, `kv_a_proj_with_mqa`, `o_proj` | `attn_q_a`, `attn_q_b`, `attn_q`, `attn_kv_a_mqa`, `attn_output` | |
/// | `kv_b_proj`, its first `nope` rows of each head | `attn_k_b`, each head transposed | nope, kv rank, heads |
/// | `kv_b_proj`, its last `v` rows of each head | `attn_v_b` | kv rank, v, heads |
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

  /// A tensor that grows while weights are handed over.
  private record Draft(int layer, String name, GgmlType type, List<Long> dims, List<Slab> slabs) {}

  private final ModelConfig config;
  private final GgmlType linear;
  private final List<String> notes;
  private final TreeSet<Draft> drafts =
      new TreeSet<>(Comparator.comparingInt(Draft::layer).thenComparing(Draft::name));
  private final Map<String, Draft> stacks = new HashMap<>();
  private final List<Dropped> dropped = new ArrayList<>();

  private DeepSeekTensors(ModelConfig config, GgmlType linear, List<String> notes) {
    this.config = config;
    this.linear = linear;
    this.notes = notes;
  }

  /// @param notes where tensors that cannot have the type are named
  static DeepSeekTensors of(Checkpoint checkpoint, GgmlType linear, List<String> notes) {
    DeepSeekTensors tensors = new DeepSeekTensors(checkpoint.config(), linear, notes);
    checkpoint.weights().forEach(tensors::add);
    return tensors;
  }

  List<GgufLayout.Tensor> layoutTensors() {
    return drafts.stream()
        .map(draft -> new GgufLayout.Tensor(draft.name(), draft.type(), draft.dims()))
        .toList();
  }

  List<GgufPart> parts(GgufLayout layout) {
    return drafts.stream()
        .map(draft -> new GgufPart(layout.tensor(draft.name()), draft.slabs()))
        .toList();
  }

  List<Dropped> dropped() {
    return dropped;
  }

  private void add(Weight weight) {
    if (weight.role().layer().orElse(-1) >= config.numHiddenLayers()) {
      dropped.add(new Dropped(weight.name(), MTP_REASON));
      return;
    }
    switch (weight.role()) {
      case TensorRole.Embedding _ -> linear(-1, "token_embd.weight", weight);
      case TensorRole.Head _ -> linear(-1, "output.weight", weight);
      case TensorRole.FinalNorm _ -> exact(-1, "output_norm.weight", weight);
      case TensorRole.Norm(int layer) -> exact(layer, norm(weight, layer), weight);
      case TensorRole.Attention(int layer, AttentionPart part) -> attention(layer, part, weight);
      case TensorRole.DenseMlp(int layer, var projection) ->
          linear(layer, "ffn_" + lower(projection) + ".weight", weight);
      case TensorRole.Router(int layer) -> exact(layer, "ffn_gate_inp.weight", weight);
      case TensorRole.RouterBias(int layer) -> exact(layer, "exp_probs_b.bias", weight);
      case TensorRole.RoutedExpert(int layer, _, var projection) ->
          expert(layer, "ffn_" + lower(projection) + "_exps.weight", weight);
      case TensorRole.SharedExpert(int layer, var projection) ->
          linear(layer, "ffn_" + lower(projection) + "_shexp.weight", weight);
      case TensorRole.AttentionBias _, TensorRole.Indexer _, TensorRole.Mtp _ ->
          throw new UnsupportedException(
              weight.name(), "llama.cpp's deepseek2 has no place for this weight");
    }
  }

  private static String lower(Enum<?> part) {
    return part.name().toLowerCase(java.util.Locale.ROOT);
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
      case Q -> linear(layer, "attn_q.weight", weight);
      case Q_A -> linear(layer, "attn_q_a.weight", weight);
      case Q_B -> linear(layer, "attn_q_b.weight", weight);
      case KV_A -> linear(layer, "attn_kv_a_mqa.weight", weight);
      case KV_B -> keysAndValues(layer, weight);
      case O -> linear(layer, "attn_output.weight", weight);
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
      keys.add(new Slab(weight, row, nope, true));
      values.add(new Slab(weight, row + nope, v, false));
    }
    put(layer, "attn_k_b.weight", linear, List.of(nope, rank, (long) heads), keys);
    put(layer, "attn_v_b.weight", linear, List.of(rank, v, (long) heads), values);
  }

  private void linear(int layer, String name, Weight weight) {
    put(layer, name, linear, weight.shape().dims().reversed(), List.of(Slab.whole(weight)));
  }

  private void exact(int layer, String name, Weight weight) {
    List<Long> dims = weight.shape().dims().reversed();
    put(layer, name, GgmlType.F32, dims, List.of(Slab.whole(weight)));
  }

  /// Experts come in their order, all of a layer.
  private void expert(int layer, String name, Weight weight) {
    List<Long> dims = new ArrayList<>(weight.shape().dims().reversed());
    dims.add((long) config.routedExperts().orElseThrow());
    stacks
        .computeIfAbsent(layer + name, _ -> put(layer, name, linear, dims, new ArrayList<>()))
        .slabs()
        .add(Slab.whole(weight));
  }

  private Draft put(int layer, String name, GgmlType type, List<Long> dims, List<Slab> slabs) {
    String full = layer < 0 ? name : "blk." + layer + "." + name;
    GgmlType fits = type;
    if (dims.getFirst() % type.blockElements() != 0) {
      fits = GgmlType.F16;
      notes.add(
          full
              + " is written as F16: rows of "
              + dims.getFirst()
              + " do not fill blocks of "
              + type
              + ", which have "
              + type.blockElements());
    }
    Draft draft = new Draft(layer, full, fits, dims, slabs);
    drafts.add(draft);
    return draft;
  }
}
