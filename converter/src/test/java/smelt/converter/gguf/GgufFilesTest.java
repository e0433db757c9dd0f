package smelt.converter.gguf;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.converter.SampleModel;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.ggml.BlockKernels;
import smelt.formats.ggml.BlockQuantizer;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufTensor;

/// The samples as GGUF: every number stands where the engine looks for it.
class GgufFilesTest {

  private static final int HEADS = 4;
  private static final int NOPE = 64;
  private static final int V = 64;
  private static final int RANK = 128;

  @TempDir static Path folder;

  private static Exported bf16Sample;
  private static Exported fp8Sample;

  @BeforeAll
  static void write() throws IOException {
    Path bf16 = SampleModel.path(SampleModel.BF16);
    Path fp8 = SampleModel.path(SampleModel.FP8);
    bf16Sample = Exported.of(bf16, GgmlType.F32, folder.resolve("bf16.gguf"));
    fp8Sample = Exported.of(fp8, GgmlType.F32, folder.resolve("fp8.gguf"));
  }

  private static Exported exported(String sample) {
    return sample.equals(SampleModel.FP8) ? fp8Sample : bf16Sample;
  }

  @ParameterizedTest
  @ValueSource(strings = {SampleModel.BF16, SampleModel.FP8})
  void keepsWhatStaysAMatrix(String sample) throws IOException {
    try (StoredWeights stored = new StoredWeights(SampleModel.path(sample))) {
      Exported file = exported(sample);
      String layer = "model.layers.2.";
      assertSame(file, "token_embd.weight", stored, "model.embed_tokens.weight");
      assertSame(file, "output.weight", stored, "lm_head.weight");
      assertSame(file, "output_norm.weight", stored, "model.norm.weight");
      assertSame(file, "blk.2.attn_norm.weight", stored, layer + "input_layernorm.weight");
      assertSame(file, "blk.2.ffn_norm.weight", stored, layer + "post_attention_layernorm.weight");
      String attention = layer + "self_attn.";
      assertSame(file, "blk.2.attn_q_a.weight", stored, attention + "q_a_proj.weight");
      assertSame(file, "blk.2.attn_q_a_norm.weight", stored, attention + "q_a_layernorm.weight");
      assertSame(file, "blk.2.attn_q_b.weight", stored, attention + "q_b_proj.weight");
      String kvA = attention + "kv_a_proj_with_mqa.weight";
      assertSame(file, "blk.2.attn_kv_a_mqa.weight", stored, kvA);
      assertSame(file, "blk.2.attn_kv_a_norm.weight", stored, attention + "kv_a_layernorm.weight");
      assertSame(file, "blk.2.attn_output.weight", stored, attention + "o_proj.weight");
      assertSame(file, "blk.2.ffn_gate_inp.weight", stored, layer + "mlp.gate.weight");
      String bias = layer + "mlp.gate.e_score_correction_bias";
      assertSame(file, "blk.2.exp_probs_b.bias", stored, bias);
      for (String part : List.of("gate", "up", "down")) {
        String shared = layer + "mlp.shared_experts." + part + "_proj.weight";
        assertSame(file, "blk.2.ffn_" + part + "_shexp.weight", stored, shared);
        String dense = "model.layers.0.mlp." + part + "_proj.weight";
        assertSame(file, "blk.0.ffn_" + part + ".weight", stored, dense);
      }
    }
  }

  private static void assertSame(Exported file, String tensor, StoredWeights stored, String weight)
      throws IOException {
    assertThat(file.floats(tensor)).as(tensor).isEqualTo(stored.floats(weight));
  }

  @ParameterizedTest
  @ValueSource(strings = {SampleModel.BF16, SampleModel.FP8})
  void splitsKeysAndValuesAndTurnsTheKeysOfEachHead(String sample) throws IOException {
    try (StoredWeights stored = new StoredWeights(SampleModel.path(sample))) {
      for (int layer = 0; layer < 4; layer++) {
        String name = "model.layers." + layer + ".self_attn.kv_b_proj.weight";
        float[] both = stored.floats(name);
        float[] keys = exported(sample).floats("blk." + layer + ".attn_k_b.weight");
        float[] values = exported(sample).floats("blk." + layer + ".attn_v_b.weight");
        float[] expectedKeys = new float[HEADS * RANK * NOPE];
        float[] expectedValues = new float[HEADS * V * RANK];
        for (int head = 0; head < HEADS; head++) {
          for (int rank = 0; rank < RANK; rank++) {
            for (int i = 0; i < NOPE; i++) {
              int row = head * (NOPE + V) + i;
              expectedKeys[(head * RANK + rank) * NOPE + i] = both[row * RANK + rank];
            }
            for (int i = 0; i < V; i++) {
              int row = head * (NOPE + V) + NOPE + i;
              expectedValues[(head * V + i) * RANK + rank] = both[row * RANK + rank];
            }
          }
        }
        assertThat(keys).isEqualTo(expectedKeys);
        assertThat(values).isEqualTo(expectedValues);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {SampleModel.BF16, SampleModel.FP8})
  void stacksExpertsInTheirOrder(String sample) throws IOException {
    try (StoredWeights stored = new StoredWeights(SampleModel.path(sample))) {
      for (String part : List.of("gate", "up", "down")) {
        float[] stack = exported(sample).floats("blk.3.ffn_" + part + "_exps.weight");
        int size = stack.length / 16;
        for (int expert = 0; expert < 16; expert++) {
          float[] one =
              stored.floats("model.layers.3.mlp.experts." + expert + "." + part + "_proj.weight");
          assertThat(java.util.Arrays.copyOfRange(stack, expert * size, (expert + 1) * size))
              .isEqualTo(one);
        }
      }
    }
  }

  @Test
  void usesEveryWeightOnceOrNamesItAsDropped() throws IOException {
    try (StoredWeights stored = new StoredWeights(SampleModel.path(SampleModel.BF16))) {
      long all = stored.checkpoint().weights().stream().mapToLong(w -> w.shape().elements()).sum();
      long dropped =
          bf16Sample.plan().dropped().stream()
              .mapToLong(
                  d -> stored.checkpoint().weight(d.weight()).orElseThrow().shape().elements())
              .sum();
      long written =
          bf16Sample.header().tensors().stream()
              .mapToLong(t -> t.dims().stream().reduce(1L, Math::multiplyExact))
              .sum();
      assertThat(written + dropped).isEqualTo(all);
      assertThat(bf16Sample.plan().dropped())
          .isNotEmpty()
          .allSatisfy(drop -> {
            assertThat(drop.weight()).startsWith("model.layers.4.");
            assertThat(drop.reason()).contains("multi-token prediction");
          });
    }
  }

  @Test
  void copiesTheBytesOfBf16() throws IOException {
    Path model = SampleModel.path(SampleModel.BF16);
    Exported file = Exported.of(model, GgmlType.BF16, folder.resolve("same.gguf"));
    try (StoredWeights stored = new StoredWeights(model)) {
      SourceTensor codes =
          stored.checkpoint().weight("model.embed_tokens.weight").orElseThrow().codes();
      assertThat(file.data("token_embd.weight").toArray(ValueLayout.JAVA_BYTE))
          .isEqualTo(stored.bytes(codes));
    }
  }

  @Test
  void quantizesLinearsAndNothingElse() throws IOException {
    Path model = SampleModel.path(SampleModel.FP8);
    Exported file = Exported.of(model, GgmlType.Q8_0, folder.resolve("q8.gguf"));
    for (GgufTensor tensor : file.header().tensors()) {
      boolean exact =
          tensor.name().contains("norm")
              || tensor.name().contains("ffn_gate_inp.")
              || tensor.name().endsWith(".bias");
      assertThat(tensor.type()).as(tensor.name()).isEqualTo(exact ? GgmlType.F32 : GgmlType.Q8_0);
      float[] values = fp8Sample.floats(tensor.name());
      if (!exact) {
        MemorySegment in = MemorySegment.ofArray(values);
        byte[] blocks = new byte[values.length / 32 * 34];
        BlockQuantizer.quantize(
            BlockKernels.choose("scalar"),
            GgmlType.Q8_0,
            in,
            0,
            1,
            values.length,
            MemorySegment.NULL,
            0,
            MemorySegment.ofArray(blocks),
            0);
        assertThat(file.data(tensor.name()).toArray(ValueLayout.JAVA_BYTE)).isEqualTo(blocks);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = GgmlType.class,
      names = {"BF16", "F16", "Q8_0"})
  void givesTheSameBytesWithScalarAndVectorKernels(GgmlType type) throws IOException {
    Path model = SampleModel.path(SampleModel.FP8);
    Exported scalar = Exported.of(model, type, folder.resolve(type + "-scalar.gguf"), "scalar");
    Exported vector = Exported.of(model, type, folder.resolve(type + "-vector.gguf"), "vector");
    assertThat(Files.mismatch(vector.file(), scalar.file())).isEqualTo(-1);
    assertThat(Files.size(vector.file())).isEqualTo(vector.plan().layout().fileSize());
  }

  @Test
  void refusesNumbersThatAreNoneAndLeavesNothing() throws IOException {
    Path model = SampleModel.copy(SampleModel.BF16, folder.resolve("nan"));
    Path out = Files.createDirectories(folder.resolve("nothing"));
    String name = "model.layers.1.self_attn.kv_b_proj.weight";
    SourceTensor codes = spoil(model, name, 1000, 0x7FC0);
    assertThatThrownBy(() -> Exported.of(model, GgmlType.Q8_0, out.resolve("m.gguf")))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(
            codes.file() + ", tensor " + name + ", byte " + (codes.offset() + 2000))
        .hasMessageContaining("NaN at row 7, column 104");
    assertThat(out).isDirectoryNotContaining("glob:**.gguf");
    assertThat(out.resolve("m.gguf.folder")).isDirectoryNotContaining("glob:**model*");
  }

  @Test
  void refusesNumbersThatTheTypeCannotHold() throws IOException {
    Path model = SampleModel.copy(SampleModel.BF16, folder.resolve("large"));
    // 65536
    spoil(model, "model.layers.1.mlp.experts.7.up_proj.weight", 5, 0x4780);
    assertThatThrownBy(() -> Exported.of(model, GgmlType.F16, folder.resolve("large.gguf")))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("experts.7.up_proj.weight")
        .hasMessageContaining("row 0, column 5")
        .hasMessageContaining("found 65536.0; expected a finite F16");
    assertThat(folder.resolve("large.gguf")).doesNotExist();
  }

  private static SourceTensor spoil(Path model, String name, int index, int bf16)
      throws IOException {
    try (StoredWeights stored = new StoredWeights(model)) {
      SourceTensor codes = stored.checkpoint().weight(name).orElseThrow().codes();
      try (FileChannel file =
          FileChannel.open(model.resolve(codes.file()), StandardOpenOption.WRITE)) {
        byte[] value = {(byte) bf16, (byte) (bf16 >> 8)};
        file.write(java.nio.ByteBuffer.wrap(value), codes.offset() + index * 2L);
      }
      return codes;
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "config.json|\"attention_bias\": false|\"moe_layer_freq\": 2, \"attention_bias\": false",
        "config.json|\"type\": \"yarn\"|\"type\": \"longrope\"",
        "config.json|\"mscale\": 1.0|\"mscale\": 0.5",
        "config.json|\"scoring_func\": \"sigmoid\"|\"scoring_func\": \"tanh\"",
        "tokenizer.json|{1,3}|{1,2}",
        "tokenizer.json|\"BPE\"|\"WordPiece\""
      })
  void refusesWhatTheEngineCannotExpress(String change) throws IOException {
    String[] parts = change.split("\\|", -1);
    Path model =
        SampleModel.copy(
            SampleModel.BF16,
            folder.resolve(Integer.toHexString(change.hashCode()).toLowerCase(Locale.ROOT)));
    Path file = model.resolve(parts[0]);
    String text = Files.readString(file, UTF_8);
    assertThat(text).contains(parts[1]);
    // Keys that stand twice would be refused for that.
    String cleared =
        change.contains("moe_layer") ? text.replace("\"moe_layer_freq\": 1,", "") : text;
    Files.writeString(file, cleared.replace(parts[1], parts[2]), UTF_8);
    assertThatThrownBy(() -> Exported.of(model, GgmlType.BF16, model.resolve("m.gguf")))
        .hasMessageContaining(parts[0])
        .isInstanceOfAny(smelt.formats.UnsupportedException.class, BadInputException.class);
    assertThat(model.resolve("m.gguf")).doesNotExist();
  }
}
