package smelt.formats.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.BadInputException;
import smelt.formats.ElementType;
import smelt.formats.Problem;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.SyntheticCheckpoint.Form;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Every fault is planted in a checkpoint that opens without it.
class CheckpointRefusalTest {

  private static final String Q_A = "model.layers.1.self_attn.q_a_proj.weight";
  private static final String EXPERT = "model.layers.2.mlp.experts.5.up_proj.weight";
  private static final String FIRST = "model-00001-of-00002.safetensors";
  private static final String SECOND = "model-00002-of-00002.safetensors";

  @TempDir Path folder;

  private static CheckpointDraft fp8() {
    return SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3).form(Form.FP8_BLOCK).draft();
  }

  private Checkpoint open() throws IOException {
    try (ModelSource source = ModelSources.open(folder)) {
      return Checkpoint.open(source);
    }
  }

  private List<Problem> problems(CheckpointDraft draft) throws IOException {
    draft.write(folder);
    return problems();
  }

  private List<Problem> problems() {
    BadInputException refused = catchThrowableOfType(BadInputException.class, this::open);
    assertThat(refused).isNotNull();
    return refused.problems();
  }

  private String refusal(CheckpointDraft draft) throws IOException {
    draft.write(folder);
    UnsupportedException refused = catchThrowableOfType(UnsupportedException.class, this::open);
    assertThat(refused).isNotNull();
    return refused.getMessage();
  }

  private static void assertOne(List<Problem> problems, String where, String... found) {
    assertThat(problems).hasSize(1);
    assertThat(problems.getFirst().where()).contains(where);
    assertThat(problems.getFirst().found()).contains(found);
  }

  @Test
  void opensWithoutAFault() throws IOException {
    fp8().write(folder);
    assertThat(open().notes()).isEmpty();
  }

  @Test
  void refusesAnFp8TensorWithoutItsScale() throws IOException {
    assertOne(problems(fp8().remove(Q_A + "_scale_inv")), Q_A, "F8_E4M3 without a scale");
  }

  @Test
  void refusesAScaleWithoutItsWeight() throws IOException {
    List<Problem> problems = problems(fp8().remove(Q_A));
    assertThat(problems).hasSize(2);
    assertThat(problems.get(0).where()).contains(Q_A + "_scale_inv");
    assertThat(problems.get(0).found()).contains("a scale without its weight " + Q_A);
    assertThat(problems.get(1).found()).isEqualTo("no tensor " + Q_A);
  }

  @Test
  void refusesAScaleOfAPlainWeight() throws IOException {
    CheckpointDraft draft =
        SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
            .draft()
            .add(FIRST, Q_A + "_scale_inv", ElementType.F32, 1, 2);
    assertOne(problems(draft), Q_A + "_scale_inv", "a scale, but", "BF16");
  }

  @Test
  void refusesTwoScalesOfOneWeight() throws IOException {
    CheckpointDraft draft = fp8().add(FIRST, Q_A + "_scale", ElementType.F32, 96, 1);
    assertOne(problems(draft), Q_A + "_scale", "another scale");
  }

  @Test
  void refusesAScaleOfTheWrongShape() throws IOException {
    assertOne(
        problems(fp8().retype(Q_A + "_scale_inv", ElementType.F32, 2, 2)),
        Q_A + "_scale_inv",
        "scales of shape [2, 2]");
    assertThat(problems().getFirst().expected()).contains("shape [1, 2], for codes of shape [96,");
  }

  @Test
  void refusesAScaleOfTheWrongType() throws IOException {
    assertOne(
        problems(fp8().retype(Q_A + "_scale_inv", ElementType.F16, 1, 2)),
        Q_A + "_scale_inv",
        "scales of type F16");
  }

  @Test
  void refusesAMissingExpertAndNamesItsTensors() throws IOException {
    CheckpointDraft draft = SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3).draft();
    for (String projection : List.of("gate", "up", "down")) {
      draft.remove("model.layers.2.mlp.experts.7." + projection + "_proj.weight");
    }
    assertThat(problems(draft))
        .extracting(Problem::found)
        .containsExactly(
            "no tensor model.layers.2.mlp.experts.7.gate_proj.weight",
            "no tensor model.layers.2.mlp.experts.7.up_proj.weight",
            "no tensor model.layers.2.mlp.experts.7.down_proj.weight");
  }

  @Test
  void refusesATensorInTwoShards() throws IOException {
    CheckpointDraft draft = fp8();
    String other = draft.weightMap().get(EXPERT).equals(FIRST) ? SECOND : FIRST;
    draft.shards().get(other).add(draft.tensor(EXPERT));
    assertOne(problems(draft), EXPERT, "holds as well");
  }

  @Test
  void refusesAnExpertTooMany() throws IOException {
    CheckpointDraft draft =
        SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
            .draft()
            .add(FIRST, "model.layers.1.mlp.experts.8.up_proj.weight", ElementType.BF16, 96, 192);
    assertOne(problems(draft), "experts.8.up_proj", "this architecture does not have");
    assertThat(problems().getFirst().expected()).contains("8 experts");
  }

  @Test
  void refusesNamesThatDifferOnlyByCase() throws IOException {
    CheckpointDraft draft =
        SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
            .draft()
            .add(FIRST, "model.Norm.weight", ElementType.BF16, 192);
    assertOne(problems(draft), "model.Norm.weight", "differs from model.norm.weight only by case");
  }

  @Test
  void refusesAnIndexThatNamesWhatItsShardLacks() throws IOException {
    CheckpointDraft draft = fp8();
    draft.weightMap().put(Q_A, draft.weightMap().get(Q_A).equals(FIRST) ? SECOND : FIRST);
    assertOne(problems(draft), "index.json", Q_A, "which lacks it (it is in ");
  }

  @Test
  void refusesATensorThatTheIndexDoesNotName() throws IOException {
    CheckpointDraft draft = fp8();
    draft.weightMap().remove(Q_A);
    assertOne(problems(draft), Q_A, "does not name");
  }

  @Test
  void refusesAShardThatIsNotThere() throws IOException {
    fp8().write(folder);
    Files.delete(folder.resolve(SECOND));
    assertOne(problems(), CheckpointDraft.INDEX, "shard " + SECOND + ", which is not there");
  }

  @Test
  void refusesShardNamesThatLeaveTheFolder() throws IOException {
    for (String hostile :
        List.of(
            "../x.safetensors", "/etc/x.safetensors", "a/../x.safetensors", "a\\b.safetensors")) {
      CheckpointDraft draft = fp8();
      draft.weightMap().put(Q_A, hostile);
      assertOne(problems(draft), CheckpointDraft.INDEX, "a shard named " + hostile);
    }
  }

  @Test
  void refusesAnIndexOfPickles() throws IOException {
    CheckpointDraft draft = fp8();
    draft.weightMap().put(Q_A, "pytorch_model.bin");
    assertOne(problems(draft), CheckpointDraft.INDEX, "a shard named pytorch_model.bin");
  }

  @Test
  void refusesAStrayShardThatRepeatsTensors() throws IOException {
    CheckpointDraft draft = fp8();
    draft.write(folder);
    CheckpointDraft.writeShard(
        folder.resolve("old.safetensors"), List.of(draft.tensor("lm_head.weight")));
    assertOne(problems(), "old.safetensors: lm_head.weight", SECOND);
  }

  @Test
  void namesAStrayShardThatRepeatsNothing() throws IOException {
    CheckpointDraft draft = fp8();
    draft.write(folder);
    CheckpointDraft other = new CheckpointDraft(draft.config());
    other.add("consolidated.safetensors", "tok_embeddings.weight", ElementType.BF16, 2, 2);
    CheckpointDraft.writeShard(
        folder.resolve("consolidated.safetensors"), other.shards().get("consolidated.safetensors"));
    Checkpoint checkpoint = open();
    assertThat(checkpoint.notes()).singleElement().asString().contains("consolidated.safetensors");
    assertThat(checkpoint.sideFiles())
        .filteredOn(f -> f.kind() == SideFile.Kind.STRAY_SHARD)
        .hasSize(1);
  }

  @Test
  void refusesShardsWithoutAnIndex() throws IOException {
    fp8().write(folder);
    Files.delete(folder.resolve(CheckpointDraft.INDEX));
    assertOne(problems(), folder.toString(), "2 safetensors files and no index");
  }

  @Test
  void refusesPickleWeightsWithARemedy() throws IOException {
    Files.writeString(folder.resolve("config.json"), "{}");
    Files.writeString(folder.resolve("pytorch_model.bin"), "x");
    assertOne(problems(), folder.toString(), "weights only as pickle (pytorch_model.bin)");
    assertThat(problems().getFirst().remedy()).contains("safetensors version");
  }

  @Test
  void refusesAFolderWithoutWeights() throws IOException {
    Files.writeString(folder.resolve("config.json"), "{}");
    assertOne(problems(), folder.toString(), "no safetensors file");
  }

  @Test
  void refusesAModelWithoutConfig() throws IOException {
    fp8().write(folder);
    Files.delete(folder.resolve("config.json"));
    assertOne(problems(), folder.toString(), "no config.json");
  }

  @Test
  void namesAMissingConfigTogetherWithAMissingShard() throws IOException {
    fp8().write(folder);
    Files.delete(folder.resolve("config.json"));
    Files.delete(folder.resolve(SECOND));
    assertThat(problems())
        .extracting(Problem::found)
        .containsExactly("shard " + SECOND + ", which is not there", "no config.json");
  }

  @Test
  void refusesAShapeThatTheConfigDoesNotImply() throws IOException {
    CheckpointDraft draft =
        SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
            .draft()
            .retype("model.norm.weight", ElementType.BF16, 191);
    assertOne(problems(draft), "model.norm.weight", "shape [191]");
  }

  @Test
  void saysWhatToDoWhenTheMtpLayerIsMissing() throws IOException {
    CheckpointDraft draft = SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3).draft();
    List.copyOf(draft.weightMap().keySet()).stream()
        .filter(n -> n.startsWith("model.layers.3."))
        .forEach(draft::remove);
    assertThat(problems(draft))
        .allMatch(p -> p.remedy().contains("set num_nextn_predict_layers to 0"));
  }

  @Test
  void namesAllFaultsAtOnce() throws IOException {
    CheckpointDraft draft =
        fp8()
            .remove(Q_A + "_scale_inv")
            .remove("lm_head.weight")
            .retype("model.norm.weight", ElementType.BF16, 191)
            .add(FIRST, "model.extra.weight", ElementType.BF16, 1);
    draft.weightMap().remove(EXPERT);
    assertThat(problems(draft)).hasSize(5);
  }

  @Test
  void namesProblemsOfSeveralShardsTogether() throws IOException {
    fp8().write(folder);
    Files.write(folder.resolve(FIRST), new byte[4]);
    Files.write(folder.resolve(SECOND), new byte[5]);
    assertThat(problems()).extracting(Problem::where).anyMatch(w -> w.contains(FIRST));
    assertThat(problems()).extracting(Problem::where).anyMatch(w -> w.contains(SECOND));
    assertThat(problems()).hasSize(2);
  }

  @Test
  void refusesDeepSeekV4InWords() throws IOException {
    CheckpointDraft byType = fp8();
    byType.config().put("model_type", "deepseek_v4");
    assertThat(refusal(byType)).contains("DeepSeek-V4", "model_type", "not supported");

    CheckpointDraft byName =
        fp8().add(FIRST, "layers.0.attn.wq_a.weight", ElementType.F8_E4M3, 2, 2);
    assertThat(refusal(byName)).contains("DeepSeek-V4", "layers.0.attn.wq_a.weight");
  }

  @Test
  void refusesAnUnknownArchitectureByName() throws IOException {
    CheckpointDraft draft = fp8();
    draft.config().putArray("architectures").add("GptOssForCausalLM");
    assertThat(refusal(draft)).contains("GptOssForCausalLM", "DeepseekV3ForCausalLM");
  }

  @Test
  void refusesFormatsThatItDoesNotRead() throws IOException {
    CheckpointDraft packed =
        fp8().retype(Q_A, ElementType.I32, 96, 24).add(FIRST, Q_A + "_shape", ElementType.I64, 2);
    assertThat(refusal(packed)).contains("a weight of type I32");
    CheckpointDraft plain = fp8().add(FIRST, "model.norm.input_scale", ElementType.F32, 1);
    assertThat(refusal(plain)).contains("static activation scales");
    CheckpointDraft e8m0 = fp8().retype(Q_A + "_scale_inv", ElementType.F8_E8M0, 1, 2);
    assertThat(refusal(e8m0)).contains("scales of type F8_E8M0");
  }
}
