package smelt.verify;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SequencedMap;
import smelt.formats.gguf.GgufValue;

/// The tensors that the metadata of GGUF implies, for the architectures whose engine's tables are
/// known here: `deepseek2`, `llama`, `qwen2` and `qwen3moe`. Dimensions are those of the file, the
/// contiguous one first.
///
/// Keys are asked for as the tensors need them: [#missing] says which were not there.
final class GgufImplied {

  private static final int MOST_LAYERS = 10_000;

  /// A tensor.
  ///
  /// @param required whether the engine stops without it
  record Tensor(List<Long> dims, boolean required) {}

  private final String architecture;
  private final Map<String, GgufValue> metadata;
  private final SequencedMap<String, Tensor> tensors = new LinkedHashMap<>();
  private final List<String> missing = new ArrayList<>();

  private GgufImplied(String architecture, Map<String, GgufValue> metadata) {
    this.architecture = architecture;
    this.metadata = metadata;
  }

  /// Whether the tensors of an architecture are known.
  static boolean knows(String architecture) {
    return switch (architecture) {
      case "deepseek2", "llama", "qwen2", "qwen3moe" -> true;
      default -> false;
    };
  }

  /// @param vocabulary rows of the embedding
  static GgufImplied of(
      String architecture, Map<String, GgufValue> metadata, OptionalLong vocabulary) {
    GgufImplied implied = new GgufImplied(architecture, metadata);
    implied.put(vocabulary.orElse(0));
    return implied;
  }

  /// By name; empty when a key is missing.
  SequencedMap<String, Tensor> tensors() {
    return missing.isEmpty() ? tensors : new LinkedHashMap<>();
  }

  /// Keys without which the engine does not know the model's sizes, each with what is wrong.
  List<String> missing() {
    return List.copyOf(missing);
  }

  private void put(long vocabulary) {
    long hidden = positive("embedding_length");
    long layers = positive("block_count");
    positive("context_length");
    requireEpsilon();
    one("token_embd.weight", true, hidden, vocabulary);
    one("output.weight", false, hidden, vocabulary);
    one("output_norm.weight", true, hidden);
    if (layers > MOST_LAYERS) {
      missing.add(key("block_count") + " is " + layers + ", beyond " + MOST_LAYERS);
    }
    for (long layer = 0; layer < layers && missing.isEmpty(); layer++) {
      String at = "blk." + layer + ".";
      one(at + "attn_norm.weight", true, hidden);
      one(at + "ffn_norm.weight", true, hidden);
      if (architecture.equals("deepseek2")) {
        latentAttention(at, hidden);
      } else {
        groupedAttention(at, hidden);
      }
      feedForward(at, layer, hidden);
    }
  }

  private void latentAttention(String at, long hidden) {
    long heads = positive("attention.head_count");
    long rank = positive("attention.kv_lora_rank");
    long rope = positive("rope.dimension_count");
    boolean split = metadata.containsKey(key("attention.key_length_mla"));
    String form = split ? "_mla" : "";
    long keys = positive("attention.key_length" + form);
    long values = positive("attention.value_length" + form);
    Optional<Long> queryRank = optional("attention.q_lora_rank");
    if (queryRank.isPresent()) {
      one(at + "attn_q_a.weight", true, hidden, queryRank.get());
      one(at + "attn_q_a_norm.weight", true, queryRank.get());
      one(at + "attn_q_b.weight", true, queryRank.get(), heads * keys);
    } else {
      one(at + "attn_q.weight", true, hidden, heads * keys);
    }
    one(at + "attn_kv_a_mqa.weight", true, hidden, rank + rope);
    one(at + "attn_kv_a_norm.weight", true, rank);
    if (split) {
      one(at + "attn_k_b.weight", true, keys - rope, rank, heads);
      one(at + "attn_v_b.weight", true, rank, values, heads);
    } else {
      one(at + "attn_kv_b.weight", true, rank, heads * (keys - rope + values));
    }
    one(at + "attn_output.weight", true, heads * values, hidden);
  }

  private void groupedAttention(String at, long hidden) {
    long heads = positive("attention.head_count");
    long pairs = optional("attention.head_count_kv").orElse(heads);
    long usual = heads == 0 ? 0 : hidden / heads;
    long keys = optional("attention.key_length").orElse(usual);
    long values = optional("attention.value_length").orElse(usual);
    boolean biased = architecture.equals("qwen2");
    one(at + "attn_q.weight", true, hidden, heads * keys);
    one(at + "attn_k.weight", true, hidden, pairs * keys);
    one(at + "attn_v.weight", true, hidden, pairs * values);
    one(at + "attn_output.weight", true, heads * values, hidden);
    if (!architecture.equals("qwen3moe")) {
      one(at + "attn_q.bias", biased, heads * keys);
      one(at + "attn_k.bias", biased, pairs * keys);
      one(at + "attn_v.bias", biased, pairs * values);
      one(at + "attn_output.bias", false, hidden);
    } else {
      one(at + "attn_q_norm.weight", true, keys);
      one(at + "attn_k_norm.weight", true, keys);
    }
    if (architecture.equals("llama")) {
      one("rope_freqs.weight", false, optional("rope.dimension_count").orElse(keys) / 2);
    }
  }

  private void feedForward(String at, long layer, long hidden) {
    long experts = optional("expert_count").orElse(0L);
    boolean deepSeek = architecture.equals("deepseek2");
    long dense = deepSeek ? positiveOrZero("leading_dense_block_count") : 0;
    boolean routed = deepSeek ? layer >= dense : experts > 0;
    if (!routed && !architecture.equals("qwen3moe")) {
      three(at, "", hidden, positive("feed_forward_length"));
      return;
    }
    long count = positive("expert_count");
    positive("expert_used_count");
    long width =
        positive(
            architecture.equals("llama") ? "feed_forward_length" : "expert_feed_forward_length");
    one(at + "ffn_gate_inp.weight", true, hidden, count);
    one(at + "ffn_gate_exps.weight", true, hidden, width, count);
    one(at + "ffn_up_exps.weight", true, hidden, width, count);
    one(at + "ffn_down_exps.weight", true, width, hidden, count);
    if (deepSeek) {
      boolean sigmoid = optional("expert_gating_func").orElse(1L) == 2;
      one(at + "exp_probs_b.bias", sigmoid, count);
      long shared = positiveOrZero("expert_shared_count");
      if (shared > 0) {
        three(at, "_shexp", hidden, width * shared);
      }
    }
  }

  private void three(String at, String ending, long hidden, long width) {
    one(at + "ffn_gate" + ending + ".weight", true, hidden, width);
    one(at + "ffn_up" + ending + ".weight", true, hidden, width);
    one(at + "ffn_down" + ending + ".weight", true, width, hidden);
  }

  private void one(String name, boolean required, long... dims) {
    tensors.put(name, new Tensor(java.util.Arrays.stream(dims).boxed().toList(), required));
  }

  private void requireEpsilon() {
    String name = key("attention.layer_norm_rms_epsilon");
    if (!(metadata.get(name) instanceof GgufValue.F32(float value)) || !(value > 0 && value < 1)) {
      missing.add(name + " " + found(name) + ", not an F32 between 0 and 1");
    }
  }

  private long positive(String name) {
    return number(name, 1);
  }

  private long positiveOrZero(String name) {
    return number(name, 0);
  }

  private long number(String name, long least) {
    Optional<Long> value = optional(name);
    if (value.isEmpty() || value.get() < least) {
      String text = key(name) + " " + found(key(name)) + ", not a number from " + least;
      if (!missing.contains(text)) {
        missing.add(text);
      }
      return least;
    }
    return value.get();
  }

  private Optional<Long> optional(String name) {
    return GgufNumbers.whole(metadata.get(key(name))).filter(value -> value <= 1L << 31);
  }

  private String found(String name) {
    GgufValue value = metadata.get(name);
    return value == null ? "is absent" : "is of kind " + value.kind();
  }

  private String key(String name) {
    return architecture + "." + name;
  }
}
