package smelt.verify;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufLayout;
import smelt.formats.gguf.GgufSplit;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.gguf.GgufValue;

/// A small GGUF model of zeros, sound until a test changes it.
final class GgufFixture {

  static final String FILE = "model.gguf";

  final SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
  final Map<String, GgufLayout.Tensor> tensors = new LinkedHashMap<>();

  /// A Llama of one layer with a vocabulary of three.
  static GgufFixture llama() {
    GgufFixture made = new GgufFixture();
    made.text("general.architecture", "llama");
    made.number("general.quantization_version", 2);
    made.sizes("llama", 1, 64, 4);
    made.number("llama.attention.head_count_kv", 2);
    made.number("llama.feed_forward_length", 96);
    made.metadata.put("tokenizer.ggml.tokens", GgufValue.texts(List.of("a", "b", "ab")));
    made.metadata.put("tokenizer.ggml.token_type", GgufValue.ints(List.of(1, 1, 1)));
    made.metadata.put("tokenizer.ggml.merges", GgufValue.texts(List.of("a b")));
    made.number("tokenizer.ggml.eos_token_id", 2);
    made.outside(64, 3);
    made.tensor("blk.0.attn_q.weight", GgmlType.Q8_0, 64, 64);
    made.tensor("blk.0.attn_k.weight", GgmlType.Q8_0, 64, 32);
    made.tensor("blk.0.attn_v.weight", GgmlType.Q4_1, 64, 32);
    made.tensor("blk.0.attn_output.weight", GgmlType.BF16, 64, 64);
    made.tensor("blk.0.ffn_gate.weight", GgmlType.F16, 64, 96);
    made.tensor("blk.0.ffn_up.weight", GgmlType.Q8_0, 64, 96);
    made.tensor("blk.0.ffn_down.weight", GgmlType.Q4_0, 96, 64);
    return made;
  }

  /// A `deepseek2` of one dense layer and one with experts.
  static GgufFixture deepSeek() {
    GgufFixture made = new GgufFixture();
    made.text("general.architecture", "deepseek2");
    made.sizes("deepseek2", 2, 64, 2);
    made.number("deepseek2.feed_forward_length", 96);
    made.number("deepseek2.attention.q_lora_rank", 24);
    made.number("deepseek2.attention.kv_lora_rank", 32);
    made.number("deepseek2.rope.dimension_count", 8);
    made.number("deepseek2.attention.key_length_mla", 24);
    made.number("deepseek2.attention.value_length_mla", 16);
    made.number("deepseek2.leading_dense_block_count", 1);
    made.number("deepseek2.expert_count", 4);
    made.number("deepseek2.expert_used_count", 2);
    made.number("deepseek2.expert_group_count", 2);
    made.number("deepseek2.expert_group_used_count", 1);
    made.number("deepseek2.expert_gating_func", 2);
    made.number("deepseek2.expert_feed_forward_length", 40);
    made.number("deepseek2.expert_shared_count", 2);
    made.outside(64, 5);
    for (int layer = 0; layer < 2; layer++) {
      String at = "blk." + layer + ".";
      made.tensor(at + "attn_q_a.weight", GgmlType.F32, 64, 24);
      made.tensor(at + "attn_q_a_norm.weight", GgmlType.F32, 24);
      made.tensor(at + "attn_q_b.weight", GgmlType.F32, 24, 48);
      made.tensor(at + "attn_kv_a_mqa.weight", GgmlType.F32, 64, 40);
      made.tensor(at + "attn_kv_a_norm.weight", GgmlType.F32, 32);
      made.tensor(at + "attn_k_b.weight", GgmlType.F32, 16, 32, 2);
      made.tensor(at + "attn_v_b.weight", GgmlType.F32, 32, 16, 2);
      made.tensor(at + "attn_output.weight", GgmlType.F32, 32, 64);
    }
    made.tensor("blk.1.attn_norm.weight", GgmlType.F32, 64);
    made.tensor("blk.1.ffn_norm.weight", GgmlType.F32, 64);
    made.three("blk.0.", "", 64, 96);
    made.tensor("blk.1.ffn_gate_inp.weight", GgmlType.F32, 64, 4);
    made.tensor("blk.1.exp_probs_b.bias", GgmlType.F32, 4);
    made.tensor("blk.1.ffn_gate_exps.weight", GgmlType.F32, 64, 40, 4);
    made.tensor("blk.1.ffn_up_exps.weight", GgmlType.F32, 64, 40, 4);
    made.tensor("blk.1.ffn_down_exps.weight", GgmlType.F32, 40, 64, 4);
    made.three("blk.1.", "_shexp", 64, 80);
    return made;
  }

  private void sizes(String architecture, long layers, long hidden, long heads) {
    number(architecture + ".block_count", layers);
    number(architecture + ".context_length", 128);
    number(architecture + ".embedding_length", hidden);
    number(architecture + ".attention.head_count", heads);
    metadata.put(architecture + ".attention.layer_norm_rms_epsilon", new GgufValue.F32(1e-6f));
  }

  private void outside(long hidden, long vocabulary) {
    tensor("token_embd.weight", GgmlType.F32, hidden, vocabulary);
    tensor("output_norm.weight", GgmlType.F32, hidden);
    tensor("output.weight", GgmlType.F32, hidden, vocabulary);
    tensor("blk.0.attn_norm.weight", GgmlType.F32, hidden);
    tensor("blk.0.ffn_norm.weight", GgmlType.F32, hidden);
  }

  private void three(String at, String ending, long hidden, long width) {
    tensor(at + "ffn_gate" + ending + ".weight", GgmlType.F32, hidden, width);
    tensor(at + "ffn_up" + ending + ".weight", GgmlType.F32, hidden, width);
    tensor(at + "ffn_down" + ending + ".weight", GgmlType.F32, width, hidden);
  }

  void text(String key, String value) {
    metadata.put(key, new GgufValue.Text(value));
  }

  void number(String key, long value) {
    metadata.put(key, new GgufValue.U32(value));
  }

  void tensor(String name, GgmlType type, long... dims) {
    List<Long> boxed = Arrays.stream(dims).boxed().toList();
    tensors.put(name, new GgufLayout.Tensor(name, type, boxed));
  }

  /// The whole model in one file.
  Path write(Path folder) throws IOException {
    write(folder.resolve(FILE), metadata, List.copyOf(tensors.values()));
    return folder;
  }

  /// Two parts, the second with the last tensor.
  Path writeParts(Path folder) throws IOException {
    List<GgufLayout.Tensor> all = new ArrayList<>(tensors.values());
    for (int i = 0; i < 2; i++) {
      GgufSplit split = new GgufSplit(i, 2, all.size());
      SequencedMap<String, GgufValue> head = new LinkedHashMap<>(i == 0 ? metadata : Map.of());
      head.putAll(split.metadata());
      List<GgufLayout.Tensor> part =
          i == 0 ? all.subList(0, all.size() - 1) : List.of(all.getLast());
      write(folder.resolve(split.fileName("model")), head, part);
    }
    return folder;
  }

  static void write(
      Path file, SequencedMap<String, GgufValue> metadata, List<GgufLayout.Tensor> tensors)
      throws IOException {
    GgufLayout layout = GgufLayout.of(metadata, tensors);
    byte[] bytes = new byte[Math.toIntExact(layout.fileSize())];
    System.arraycopy(layout.header(), 0, bytes, 0, layout.header().length);
    Files.write(file, bytes);
  }

  /// Writes the model with two bytes of a tensor changed.
  Path write(Path folder, String tensor, long at, int half) throws IOException {
    write(folder);
    GgufLayout layout = GgufLayout.of(metadata, List.copyOf(tensors.values()));
    GgufTensor entry = layout.tensor(tensor);
    byte[] bytes = Files.readAllBytes(folder.resolve(FILE));
    MemorySegment.ofArray(bytes)
        .set(
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN),
            layout.offset(entry) + at,
            (short) half);
    Files.write(folder.resolve(FILE), bytes);
    return folder;
  }
}
