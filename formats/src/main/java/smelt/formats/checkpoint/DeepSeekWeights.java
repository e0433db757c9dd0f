package smelt.formats.checkpoint;

import static smelt.formats.checkpoint.ExpectedWeight.optional;
import static smelt.formats.checkpoint.ExpectedWeight.required;

import java.util.OptionalInt;
import java.util.function.Consumer;
import smelt.formats.checkpoint.TensorRole.Attention;
import smelt.formats.checkpoint.TensorRole.AttentionBias;
import smelt.formats.checkpoint.TensorRole.AttentionPart;
import smelt.formats.checkpoint.TensorRole.Indexer;
import smelt.formats.checkpoint.TensorRole.IndexerPart;
import smelt.formats.checkpoint.TensorRole.Mtp;
import smelt.formats.checkpoint.TensorRole.MtpPart;
import smelt.formats.checkpoint.TensorRole.Norm;

/// The weights of DeepSeek-V2, V3 and V3.2, derived from the config. `L` is `model.layers.N.`, `H`
/// the hidden size, `heads` the number of attention heads.
///
/// | name | shape | where |
/// |---|---|---|
/// | `model.embed_tokens.weight`, `lm_head.weight` | vocabulary, H | |
/// | `model.norm.weight`, `L input_layernorm`, `L post_attention_layernorm` | H | |
/// | `L self_attn.q_proj` | heads x (nope + rope), H | `q_lora_rank` is null |
/// | `L self_attn.q_a_proj`, `q_a_layernorm`, `q_b_proj` | rank, H; rank; heads x (nope + rope), rank | otherwise |
/// | `L self_attn.kv_a_proj_with_mqa`, `kv_a_layernorm` | kv rank + rope, H; kv rank | |
/// | `L self_attn.kv_b_proj`, `o_proj` | heads x (nope + v), kv rank; H, heads x v | |
/// | `L self_attn.indexer.wq_b`, `wk`, `k_norm`, `weights_proj` | see below | V3.2 |
/// | `L mlp.{gate,up,down}_proj` | intermediate, H (down: H, intermediate) | dense layers |
/// | `L mlp.gate.weight` | experts, H | layers with experts |
/// | `L mlp.gate.e_score_correction_bias` | experts | `topk_method` is `noaux_tc` |
/// | `L mlp.experts.E.{gate,up,down}_proj` | expert width, H | layers with experts |
/// | `L mlp.shared_experts.{gate,up,down}_proj` | shared x expert width, H | layers with experts |
/// | `L embed_tokens`, `enorm`, `hnorm`, `eh_proj`, `shared_head.norm`, `shared_head.head` | eh_proj: H, 2 H | MTP layers |
///
/// A layer has experts when its number is at least `first_k_dense_replace` and a multiple of
/// `moe_layer_freq`. MTP layers follow the last ordinary one. With `attention_bias` the projections
/// into the two low ranks (or the plain query) and the output have a bias.
final class DeepSeekWeights {

  private final ModelConfig config;
  private final Consumer<ExpectedWeight> sink;
  private final boolean indexer;
  private final boolean attentionBias;
  private final int hidden;
  private final int heads;
  private final int rope;
  private final int nope;
  private final int v;
  private final int kvRank;
  private final OptionalInt qRank;
  private final OptionalInt experts;

  private DeepSeekWeights(ModelConfig config, boolean indexer, Consumer<ExpectedWeight> sink) {
    this.config = config;
    this.sink = sink;
    this.indexer = indexer;
    attentionBias = config.flag("attention_bias");
    hidden = config.hiddenSize();
    heads = config.numAttentionHeads();
    rope = config.requireInt("qk_rope_head_dim", 1, 1 << 16);
    nope = config.requireInt("qk_nope_head_dim", 1, 1 << 16);
    v = config.requireInt("v_head_dim", 1, 1 << 16);
    kvRank = config.kvLoraRank();
    qRank = config.qLoraRank();
    experts = config.routedExperts();
  }

  static void list(ModelConfig config, Consumer<ExpectedWeight> sink) {
    new DeepSeekWeights(config, false, sink).model();
  }

  static void listWithIndexer(ModelConfig config, Consumer<ExpectedWeight> sink) {
    new DeepSeekWeights(config, true, sink).model();
  }

  private void model() {
    int vocab = config.vocabSize();
    sink.accept(required("model.embed_tokens.weight", new TensorRole.Embedding(), vocab, hidden));
    int layers = config.numHiddenLayers();
    for (int layer = 0; layer < layers; layer++) {
      layer(layer, "model.layers." + layer + ".");
    }
    for (int layer = layers; layer < layers + config.mtpLayers(); layer++) {
      mtpLayer(layer, "model.layers." + layer + ".", vocab);
    }
    sink.accept(required("model.norm.weight", new TensorRole.FinalNorm(), hidden));
    TensorRole head = new TensorRole.Head();
    sink.accept(
        config.tiedEmbeddings()
            ? optional("lm_head.weight", head, vocab, hidden)
            : required("lm_head.weight", head, vocab, hidden));
  }

  private void mtpLayer(int layer, String prefix, int vocab) {
    mtp(layer, prefix + "embed_tokens.weight", MtpPart.EMBEDDING, vocab, hidden);
    mtp(layer, prefix + "enorm.weight", MtpPart.ENORM, hidden);
    mtp(layer, prefix + "hnorm.weight", MtpPart.HNORM, hidden);
    mtp(layer, prefix + "eh_proj.weight", MtpPart.EH_PROJ, hidden, 2L * hidden);
    layer(layer, prefix);
    mtp(layer, prefix + "shared_head.norm.weight", MtpPart.HEAD_NORM, hidden);
    mtp(layer, prefix + "shared_head.head.weight", MtpPart.HEAD, vocab, hidden);
  }

  private void mtp(int layer, String name, MtpPart part, long... shape) {
    sink.accept(required(name, new Mtp(layer, part), shape));
  }

  private void layer(int layer, String prefix) {
    norm(layer, prefix + "input_layernorm.weight", hidden);
    attention(layer, prefix + "self_attn.");
    norm(layer, prefix + "post_attention_layernorm.weight", hidden);
    boolean moe =
        experts.isPresent()
            && layer >= config.firstDenseLayers()
            && layer % config.moeLayerFrequency() == 0;
    if (moe) {
      experts(layer, prefix + "mlp.");
    } else {
      for (Projection p : Projection.values()) {
        TensorRole role = new TensorRole.DenseMlp(layer, p);
        projection(prefix + "mlp.", p, role, config.intermediateSize());
      }
    }
  }

  private void attention(int layer, String prefix) {
    long queryRows = Math.multiplyExact(heads, (long) (nope + rope));
    if (qRank.isPresent()) {
      int rank = qRank.getAsInt();
      linear(layer, prefix + "q_a_proj", AttentionPart.Q_A, attentionBias, rank, hidden);
      norm(layer, prefix + "q_a_layernorm.weight", rank);
      linear(layer, prefix + "q_b_proj", AttentionPart.Q_B, false, queryRows, rank);
    } else {
      linear(layer, prefix + "q_proj", AttentionPart.Q, false, queryRows, hidden);
    }
    linear(
        layer,
        prefix + "kv_a_proj_with_mqa",
        AttentionPart.KV_A,
        attentionBias,
        (long) kvRank + rope,
        hidden);
    norm(layer, prefix + "kv_a_layernorm.weight", kvRank);
    long keyValueRows = Math.multiplyExact(heads, (long) (nope + v));
    linear(layer, prefix + "kv_b_proj", AttentionPart.KV_B, false, keyValueRows, kvRank);
    long valueCols = Math.multiplyExact(heads, (long) v);
    linear(layer, prefix + "o_proj", AttentionPart.O, attentionBias, hidden, valueCols);
    if (indexer) {
      indexer(layer, prefix + "indexer.");
    }
  }

  private void linear(
      int layer, String module, AttentionPart part, boolean bias, long rows, long cols) {
    sink.accept(required(module + ".weight", new Attention(layer, part), rows, cols));
    if (bias) {
      sink.accept(required(module + ".bias", new AttentionBias(layer, part), rows));
    }
  }

  private void indexer(int layer, String prefix) {
    int indexHeads = config.requireInt("index_n_heads", 1, 1 << 16);
    int dim = config.requireInt("index_head_dim", 1, 1 << 16);
    int rank = config.requireInt("q_lora_rank", 1, 1 << 24);
    index(layer, prefix + "wq_b.weight", IndexerPart.WQ_B, (long) indexHeads * dim, rank);
    index(layer, prefix + "wk.weight", IndexerPart.WK, dim, hidden);
    index(layer, prefix + "k_norm.weight", IndexerPart.K_NORM, dim);
    index(layer, prefix + "k_norm.bias", IndexerPart.K_NORM_BIAS, dim);
    index(layer, prefix + "weights_proj.weight", IndexerPart.WEIGHTS_PROJ, indexHeads, hidden);
  }

  private void index(int layer, String name, IndexerPart part, long... shape) {
    sink.accept(required(name, new Indexer(layer, part), shape));
  }

  private void experts(int layer, String prefix) {
    int count = experts.getAsInt();
    int width = config.moeIntermediateSize();
    sink.accept(required(prefix + "gate.weight", new TensorRole.Router(layer), count, hidden));
    if (config.topkMethod().filter("noaux_tc"::equals).isPresent()) {
      TensorRole bias = new TensorRole.RouterBias(layer);
      sink.accept(required(prefix + "gate.e_score_correction_bias", bias, count));
    }
    for (int expert = 0; expert < count; expert++) {
      for (Projection p : Projection.values()) {
        TensorRole role = new TensorRole.RoutedExpert(layer, expert, p);
        projection(prefix + "experts." + expert + ".", p, role, width);
      }
    }
    if (config.sharedExperts() > 0) {
      long shared = Math.multiplyExact(config.sharedExperts(), (long) width);
      for (Projection p : Projection.values()) {
        projection(prefix + "shared_experts.", p, new TensorRole.SharedExpert(layer, p), shared);
      }
    }
  }

  private void projection(String prefix, Projection projection, TensorRole role, long width) {
    sink.accept(
        switch (projection) {
          case GATE -> required(prefix + "gate_proj.weight", role, width, hidden);
          case UP -> required(prefix + "up_proj.weight", role, width, hidden);
          case DOWN -> required(prefix + "down_proj.weight", role, hidden, width);
        });
  }

  private void norm(int layer, String name, long size) {
    sink.accept(required(name, new Norm(layer), size));
  }
}
