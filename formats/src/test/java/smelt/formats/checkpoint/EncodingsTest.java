package smelt.formats.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.BadInputException;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.SyntheticCheckpoint.Form;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.safetensors.SafetensorsLayout.Tensor;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class EncodingsTest {

  private static final String O = "model.layers.1.self_attn.o_proj.weight";
  private static final String NORM = "model.norm.weight";

  @TempDir Path folder;

  private static CheckpointDraft llama(Form form) {
    return SyntheticCheckpoint.of(Architecture.LLAMA).form(form).shards(1).draft();
  }

  private Checkpoint open(CheckpointDraft draft) throws IOException {
    try (ModelSource source = ModelSources.open(draft.write(folder))) {
      return Checkpoint.open(source);
    }
  }

  private Encoding of(CheckpointDraft draft) throws IOException {
    return open(draft).weight(O).orElseThrow().encoding();
  }

  private static Encoding.Block block(ElementType type, int rows, int cols) {
    return new Encoding.Block(type, rows, cols, ElementType.F32, ScaleFormat.FLOAT);
  }

  @Test
  void readsEveryFormThatSmeltWrites() throws IOException {
    assertThat(of(llama(Form.BF16))).isEqualTo(new Encoding.Plain(ElementType.BF16));
    assertThat(of(llama(Form.FP8_BLOCK))).isEqualTo(Encoding.fp8Block(ScaleFormat.FLOAT));
    assertThat(of(llama(Form.FP8_BLOCK_UE8M0))).isEqualTo(Encoding.fp8Block(ScaleFormat.UE8M0));
    assertThat(of(llama(Form.INT8_BLOCK))).isEqualTo(block(ElementType.I8, 128, 128));
    assertThat(of(llama(Form.INT8_CHANNEL)))
        .isEqualTo(new Encoding.Channel(ElementType.I8, ElementType.F32));
  }

  @Test
  void readsChannelScalesWithoutASecondDimensionAndInBf16() throws IOException {
    CheckpointDraft draft = llama(Form.INT8_CHANNEL).retype(O + "_scale", ElementType.BF16, 192);
    assertThat(of(draft)).isEqualTo(new Encoding.Channel(ElementType.I8, ElementType.BF16));
  }

  /// The draft with its one weight packed, eight codes to a word.
  private static CheckpointDraft packed(ElementType scales, long... scaleShape) {
    return llama(Form.BF16)
        .remove(O)
        .add("model.safetensors", O + "_packed", ElementType.I32, 192, 24)
        .add("model.safetensors", O + "_scale", scales, scaleShape)
        .add("model.safetensors", O + "_shape", ElementType.I64, 2);
  }

  @Test
  void readsPackedInt4WithGroupsOfAnySize() throws IOException {
    Weight weight = open(packed(ElementType.BF16, 192, 6)).weight(O).orElseThrow();
    assertThat(weight.encoding()).isEqualTo(new Encoding.Int4(32, ElementType.BF16, -8));
    assertThat(weight.shape()).isEqualTo(Shape.of(192, 192));
    assertThat(weight.codes().name()).isEqualTo(O + "_packed");
    assertThat(weight.bytes()).isEqualTo(192 * 96 + 192 * 12);
    assertThat(of(packed(ElementType.F16, 192, 1)))
        .isEqualTo(new Encoding.Int4(192, ElementType.F16, -8));
    assertThat(of(packed(ElementType.F32, 192, 24)))
        .isEqualTo(new Encoding.Int4(8, ElementType.F32, -8));
    assertThat(open(packed(ElementType.BF16, 192, 6)).leftovers())
        .extracting(Leftover::reason)
        .containsExactly(Leftover.Reason.PACKED_SHAPE);
  }

  @Test
  void refusesPackedCodesWhoseScalesFitNoGroupsOrAreAbsent() {
    assertThatThrownBy(() -> open(packed(ElementType.BF16, 192, 7)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("scales of type BF16 and shape [192, 7]");
    assertThatThrownBy(() -> open(packed(ElementType.I32, 192, 6)))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("scales of type I32");
    assertThatThrownBy(() -> open(packed(ElementType.BF16, 192, 6).remove(O + "_scale")))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("packed codes without a scale");
  }

  @Test
  void refusesPackedCodesInAnotherOrderOrWithZeroPoints() {
    for (String ending : new String[] {"_g_idx", "_zero_point"}) {
      CheckpointDraft draft =
          packed(ElementType.BF16, 192, 6)
              .add("model.safetensors", O + ending, ElementType.I32, 192);
      assertThatThrownBy(() -> open(draft))
          .isInstanceOf(UnsupportedException.class)
          .hasMessageContaining(ending.equals("_g_idx") ? "activation order" : "asymmetric");
    }
    CheckpointDraft bytes =
        packed(ElementType.BF16, 192, 6).retype(O + "_packed", ElementType.U8, 192, 96);
    assertThatThrownBy(() -> open(bytes))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("packed weights of type U8");
  }

  @Test
  void readsOneScaleForAWholeTensor() throws IOException {
    CheckpointDraft draft =
        llama(Form.FP8_BLOCK)
            .remove(O + "_scale_inv")
            .add("model.safetensors", O + "_scale", ElementType.F32);
    assertThat(of(draft)).isEqualTo(block(ElementType.F8_E4M3, 192, 192));
  }

  @Test
  void namesWhatBelongsToStaticInputs() throws IOException {
    String module = O.replace(".weight", "");
    CheckpointDraft draft =
        llama(Form.INT8_CHANNEL)
            .add("model.safetensors", module + ".input_scale", ElementType.F32, 1)
            .add("model.safetensors", module + ".input_zero_point", ElementType.I8, 1)
            .add("model.safetensors", module + ".quant_bias", ElementType.I32, 192);
    assertThat(open(draft).leftovers())
        .hasSize(3)
        .extracting(Leftover::reason)
        .containsOnly(Leftover.Reason.STATIC_INPUT);
  }

  @Test
  void readsE5m2() throws IOException {
    CheckpointDraft draft = llama(Form.FP8_BLOCK).retype(O, ElementType.F8_E5M2, 192, 192);
    assertThat(of(draft)).isEqualTo(block(ElementType.F8_E5M2, 128, 128));
  }

  @Test
  void readsBlockScalesUnderTheNameOfCompressedTensors() throws IOException {
    CheckpointDraft draft =
        llama(Form.FP8_BLOCK)
            .remove(O + "_scale_inv")
            .add("model.safetensors", O + "_scale", ElementType.F32, 2, 2);
    assertThat(of(draft)).isEqualTo(block(ElementType.F8_E4M3, 128, 128));
  }

  @Test
  void derivesTheBlockSizeThatFitsAllWeightsWhenTheConfigHasNone() throws IOException {
    CheckpointDraft draft = llama(Form.FP8_BLOCK);
    draft.config().remove("quantization_config");
    assertThat(of(draft)).isEqualTo(block(ElementType.F8_E4M3, 128, 128));
    assertThat(open(draft).notes()).singleElement().asString().contains("no quantization_config");
    for (Tensor tensor : List.copyOf(draft.shards().get("model.safetensors"))) {
      if (tensor.name().endsWith("_scale_inv")) {
        Tensor codes = draft.tensor(tensor.name().replace("_scale_inv", ""));
        long rows = Math.ceilDiv(codes.shape().dim(0), 64L);
        long cols = Math.ceilDiv(codes.shape().dim(1), 32L);
        draft.retype(tensor.name(), ElementType.F32, rows, cols);
      }
    }
    assertThat(of(draft)).isEqualTo(block(ElementType.F8_E4M3, 64, 32));
  }

  @Test
  void readsTheFilesOfAscendAndNamesTheOffsets() throws IOException {
    CheckpointDraft draft =
        llama(Form.INT8_CHANNEL).add("model.safetensors", O + "_offset", ElementType.F32, 192, 1);
    draft.config().remove("quantization_config");
    draft.write(folder);
    Files.move(
        folder.resolve("model.safetensors"), folder.resolve("quant_model_weights.safetensors"));
    Files.delete(folder.resolve(CheckpointDraft.INDEX));
    Files.writeString(folder.resolve("quant_model_description.json"), "{}");
    try (ModelSource source = ModelSources.open(folder)) {
      Checkpoint opened = Checkpoint.open(source);
      assertThat(opened.notes()).isEmpty();
      assertThat(opened.leftovers())
          .extracting(Leftover::reason)
          .containsExactly(Leftover.Reason.ZERO_OFFSET);
    }
  }

  @Test
  void notesAQuantizationConfigWithoutQuantizedWeights() throws IOException {
    CheckpointDraft draft = llama(Form.BF16);
    draft.config().putObject("quantization_config").put("quant_method", "fp8");
    assertThat(open(draft).notes()).singleElement().asString().contains("no weight is quantized");
  }

  @Test
  void refusesCodesThatAreNoMatrix() {
    CheckpointDraft draft =
        llama(Form.FP8_BLOCK)
            .retype(NORM, ElementType.F8_E4M3, 192)
            .add("model.safetensors", NORM + "_scale_inv", ElementType.F32, 2);
    assertThatThrownBy(() -> open(draft))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(NORM + ": found F8_E4M3 of shape [192]; expected a matrix");
  }
}
