package smelt.converter.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.RecipeException;
import smelt.converter.recipe.Recipes;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.checkpoint.SyntheticCheckpoint.Form;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// What a recipe may change of a target's table, and what the config then says.
class RecipeRulesTest {

  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final Path FP8 = Checkout.root().resolve("samples/tiny-deepseek-v3-fp8");

  @TempDir Path folder;

  private Plan plan(Path model, String yaml) throws IOException {
    Path file = Files.writeString(folder.resolve("recipe.yaml"), yaml);
    Recipe recipe = Recipes.load(file.toString());
    try (ModelSource source = ModelSources.open(model)) {
      return Planner.plan(source, Checkpoint.open(source), recipe);
    }
  }

  private static Map<String, String> types(Plan plan) {
    Map<String, String> types = new TreeMap<>();
    for (TargetPlan.Shard shard : plan.targets().getFirst().shards()) {
      shard.layout().parts().forEach(t -> types.put(t.name(), t.type()));
    }
    return types;
  }

  private static JsonNode config(Plan plan) {
    return JSON.readTree(
        plan.targets().getFirst().smallFiles().stream()
            .filter(f -> f.name().equals("config.json"))
            .findFirst()
            .orElseThrow()
            .bytes());
  }

  private static List<String> texts(JsonNode array) {
    return array.valueStream().map(JsonNode::asString).toList();
  }

  @Test
  void keptWeightsStayInHighPrecisionAndAreListed() throws Exception {
    Plan plan =
        plan(
            FP8,
            """
            name: kept
            targets:
              - target: int8-channel
                keep: [attention.kv_b, "re:model\\\\.layers\\\\.0\\\\.mlp\\\\."]
            """);
    Map<String, String> types = types(plan);
    assertThat(types)
        .containsEntry("model.layers.2.self_attn.kv_b_proj.weight", "BF16")
        .doesNotContainKey("model.layers.2.self_attn.kv_b_proj.weight_scale")
        .containsEntry("model.layers.0.mlp.down_proj.weight", "BF16")
        .containsEntry("model.layers.1.mlp.shared_experts.down_proj.weight", "I8");
    assertThat(texts(config(plan).at("/quantization_config/ignore")))
        .contains(
            "lm_head",
            "model.layers.0.mlp.gate_proj",
            "model.layers.4.eh_proj",
            "model.layers.4.self_attn.kv_b_proj",
            "model.layers.3.mlp.gate")
        .doesNotContain("model.embed_tokens", "model.layers.0.self_attn.o_proj");
  }

  @Test
  void aKeptLinearCanBeAskedFor() throws Exception {
    Plan plan =
        plan(
            FP8,
            """
            name: asked
            targets:
              - target: ct-int8
                quantize: [attention.kv_b]
            """);
    assertThat(types(plan)).containsEntry("model.layers.2.self_attn.kv_b_proj.weight", "I8");
    assertThat(texts(config(plan).at("/quantization_config/ignore")))
        .noneMatch(name -> name.contains("kv_b_proj"));
  }

  @Test
  void halfOfAFusedModuleIsRefused() {
    assertThatThrownBy(() ->
            plan(
                FP8,
                """
                name: half
                targets:
                  - target: fp8-block
                    keep: [attention.q_a]
                """))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("layer 0 q_a_proj and kv_a_proj")
        .hasMessageContaining("name the whole group");
  }

  @Test
  void whatNoLoaderTakesQuantizedIsRefused() {
    assertThatThrownBy(() ->
            plan(
                FP8,
                """
                name: never
                targets:
                  - target: int8-block
                    quantize: [head]
                """))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("lm_head.weight");
  }

  @Test
  void keptExpertsAreRefusedWhereTheLoaderCannotKeepThem() throws Exception {
    String recipe =
        """
        name: experts
        targets:
          - target: %s
            keep: [routed_expert]
        """;
    assertThatThrownBy(() -> plan(FP8, recipe.formatted("int8-channel")))
        .isInstanceOf(RecipeException.class)
        .hasMessageContaining("all of them or none");
    assertThat(types(plan(FP8, recipe.formatted("ct-int8"))))
        .containsEntry("model.layers.1.mlp.experts.3.up_proj.weight", "BF16");
  }

  @Test
  void droppedMtpIsAccountedForAndTheConfigSaysSo() throws Exception {
    Plan plan =
        plan(
            FP8,
            """
            name: no-mtp
            targets: [fp8-block]
            mtp: drop
            """);
    assertThat(types(plan)).noneSatisfy((name, _) -> assertThat(name).contains("layers.4."));
    assertThat(plan.dropped())
        .hasSize(501 - types(plan).size())
        .allSatisfy(d -> assertThat(d.reason()).contains("mtp: drop"));
    assertThat(config(plan).get("num_nextn_predict_layers").asInt()).isZero();
  }

  @Test
  void powerOfTwoScalesStaySoUnlessTheRecipeSaysOtherwise() throws Exception {
    Path model =
        SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
            .form(Form.FP8_BLOCK_UE8M0)
            .write(folder.resolve("model"));
    String recipe = "name: scales\ntargets:\n  - target: fp8-block\n";
    assertThat(config(plan(model, recipe)).at("/quantization_config/scale_fmt").asString())
        .isEqualTo("ue8m0");
    assertThat(
            config(plan(model, recipe + "    scales: f32\n"))
                .at("/quantization_config/scale_fmt")
                .isMissingNode())
        .isTrue();
    assertThat(
            config(plan(FP8, recipe + "    scales: ue8m0\n"))
                .at("/quantization_config/scale_fmt")
                .asString())
        .isEqualTo("ue8m0");
  }

  @Test
  void theConfigOfEachTargetIsWhatItsLoadersRead() throws Exception {
    Map<String, String> expected =
        Map.of(
            "fp8-block",
            "{'activation_scheme':'dynamic','fmt':'e4m3','quant_method':'fp8',"
                + "'weight_block_size':[128,128]}",
            "int8-block",
            "{'activation_scheme':'dynamic','quant_method':'blockwise_int8',"
                + "'weight_block_size':[128,128]}",
            "ct-fp8-block",
            "{'config_groups':{'group_0':{'format':'float-quantized','input_activations':"
                + "{'dynamic':true,'num_bits':8,'strategy':'group','symmetric':true,"
                + "'type':'float','group_size':128},'output_activations':null,"
                + "'targets':['Linear'],'weights':{'dynamic':false,'num_bits':8,"
                + "'strategy':'block','symmetric':true,'type':'float',"
                + "'block_structure':[128,128]}}},'format':'float-quantized',"
                + "'kv_cache_scheme':null,'quant_method':'compressed-tensors',"
                + "'quantization_status':'compressed'}",
            "ct-int8",
            "{'config_groups':{'group_0':{'format':'int-quantized','input_activations':"
                + "{'dynamic':true,'num_bits':8,'strategy':'token','symmetric':true,'type':'int'},"
                + "'output_activations':null,'targets':['Linear'],'weights':{'dynamic':false,"
                + "'num_bits':8,'strategy':'channel','symmetric':true,'type':'int'}}},"
                + "'format':'int-quantized','kv_cache_scheme':null,"
                + "'quant_method':'compressed-tensors','quantization_status':'compressed'}");
    for (Map.Entry<String, String> target : expected.entrySet()) {
      JsonNode config = config(plan(FP8, "name: x\ntargets: [" + target.getKey() + "]\n"));
      tools.jackson.databind.node.ObjectNode quantization =
          (tools.jackson.databind.node.ObjectNode) config.get("quantization_config");
      quantization.remove("ignore");
      assertThat((Object) quantization)
          .as(target.getKey())
          .isEqualTo(JSON.readTree(target.getValue().replace('\'', '"')));
    }
    for (String without : List.of("bf16", "ascend-w8a8")) {
      assertThat(
              config(plan(FP8, "name: x\ntargets: [" + without + "]\n")).has("quantization_config"))
          .isFalse();
    }
  }
}
