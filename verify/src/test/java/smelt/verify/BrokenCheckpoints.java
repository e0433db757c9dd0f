package smelt.verify;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Supplier;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import tools.jackson.databind.node.ObjectNode;

/// For each rule a checkpoint that breaks it, and nothing else.
final class BrokenCheckpoints {

  /// Writes a spoiled checkpoint into a folder.
  private interface Writer {
    void write(Path folder) throws IOException;
  }

  /// @param severity of what the rule is to find
  /// @param runtimes asked for; empty for those that the checkpoint's declaration suggests
  record Broken(Severity severity, Set<ServingRuntime> runtimes, Writer writer) {
    void write(Path folder) throws IOException {
      writer.write(folder);
    }
  }

  private final Map<String, Broken> byRule = new TreeMap<>();

  private BrokenCheckpoints() {}

  static Map<String, Broken> byRule() {
    BrokenCheckpoints all = new BrokenCheckpoints();
    all.container();
    all.index();
    all.model();
    all.data();
    all.fusion();
    all.config();
    all.ignored();
    all.ascend();
    all.nativeInt4();
    all.nativeFp8();
    all.manifest();
    return all.byRule;
  }

  private void container() {
    written("headers-readable", Drafts::bf16, folder -> cutShort(folder));
    drafted("format-metadata", Drafts::bf16, draft -> draft.metadata.put("format", "numpy"));
    ours("header-padded", Drafts::bf16, draft -> draft.headerPadding = 3, _ -> {});
    drafted("tensor-names-unique", Drafts::bf16, draft -> draft.copies.add("model.norm.weight"));
    drafted(
        "config-readable",
        Drafts::bf16,
        draft -> draft.files.put("config.json", "{\"a\":1,\"a\":2}"));
  }

  private void index() {
    String name = "model.safetensors.index.json";
    drafted("index-readable", Drafts::bf16, draft -> draft.files.put(name, "{}"));
    indexed("index-names-safe", map -> map.put("model.norm.weight", "../secret.safetensors"));
    indexed("index-files-exist", map -> map.put("ghost", "model-00003-of-00003.safetensors"));
    indexed(
        "index-matches-headers",
        map ->
            map.put(
                "model.norm.weight",
                map.get("model.norm.weight").stringValue().contains("00001-")
                    ? "model-00002-of-00002.safetensors"
                    : "model-00001-of-00002.safetensors"));
    drafted(
        "index-total-size",
        Severity.WARN,
        Drafts::bf16,
        draft -> draft.index.putObject("metadata").put("total_size", 1));
  }

  private void model() {
    drafted("weights-as-config", Drafts::fp8Block, draft -> draft.remove("model.norm.weight"));
    drafted(
        "mtp-as-config",
        Drafts::fp8Block,
        draft -> draft.config.put("num_nextn_predict_layers", 0));
    drafted(
        "high-precision-kept",
        Drafts::fp8Block,
        draft -> Drafts.block(draft, "lm_head", Shape.of(64, 256), ElementType.F8_E4M3));
    drafted(
        "router-bias-f32",
        Severity.WARN,
        Drafts::bf16,
        draft ->
            draft.fill(
                "model.layers.1.mlp.gate.e_score_correction_bias",
                ElementType.BF16,
                Shape.of(4),
                0));
    drafted(
        "companions-complete",
        Drafts::fp8Block,
        draft -> draft.remove(Drafts.ATTENTION + "o_proj.weight_scale_inv"));
    drafted(
        "companions-belong",
        Drafts::bf16,
        draft -> draft.floats(Drafts.ATTENTION + "o_proj.weight_scale_inv", Shape.of(2, 2), 1));
  }

  private void data() {
    String scale = Drafts.ATTENTION + "o_proj.weight_scale_inv";
    drafted("scales-usable", Drafts::fp8Block, draft -> draft.setFloat(scale, 3, Float.NaN));
    drafted(
        "scales-powers-of-two",
        Drafts::fp8Block,
        draft -> {
          draft.quantization().put("scale_fmt", "ue8m0");
          draft.setFloat(scale, 1, 0.3f);
        });
    drafted(
        "weights-finite",
        Drafts::fp8Block,
        draft -> draft.bytes(Drafts.ATTENTION + "o_proj.weight")[777] = (byte) 0xFF);
    drafted(
        "int8-symmetric",
        Severity.WARN,
        Drafts::int8Channel,
        draft -> draft.bytes(Drafts.ATTENTION + "o_proj.weight")[778] = (byte) 0x80);
  }

  private void fusion() {
    drafted(
        "fused-alike",
        Drafts::ascend,
        draft -> {
          draft.makePlain(Drafts.ATTENTION + "q_a_proj");
          Drafts.describe(draft, Map.of());
        });
    drafted(
        "experts-alike",
        Drafts::ascend,
        draft -> {
          for (String projection : new String[] {"gate_proj", "up_proj", "down_proj"}) {
            draft.makePlain(Drafts.EXPERTS + "2." + projection);
          }
          Drafts.describe(draft, Map.of());
        });
    drafted(
        "shared-expert-as-routed",
        Severity.NOTE,
        Drafts::int8Channel,
        draft -> plainAndIgnored(draft, "model.layers.1.mlp.shared_experts"));
    drafted(
        "fused-scales-equal",
        Drafts::fp8Tensor,
        draft -> draft.setFloat(Drafts.ATTENTION + "kv_a_proj_with_mqa.weight_scale", 0, 0.25f));
    drafted(
        "tensor-parallel",
        () -> Drafts.fp8Block(Drafts.config().put("moe_intermediate_size", 64)),
        _ -> {});
  }

  private void config() {
    drafted(
        "quantization-declared",
        Drafts::fp8Block,
        draft -> draft.config.remove("quantization_config"));
    drafted(
        "quantization-as-stored",
        Drafts::fp8Block,
        draft -> draft.quantization().put("quant_method", "blockwise_int8"));
    put(
        "method-served",
        Severity.FAIL,
        Set.of(ServingRuntime.VLLM),
        folder -> Drafts.int8Channel().write(folder));
    drafted(
        "side-files",
        Severity.WARN,
        Drafts::bf16,
        draft -> draft.files.remove("generation_config.json"));
    drafted("ct-schema", Drafts::ctInt8, draft -> weights(draft).put("observers", "minmax"));
    drafted("ct-scheme-served", Drafts::ctInt8, draft -> group(draft).remove("input_activations"));
  }

  private void ignored() {
    drafted(
        "ignore-as-stored",
        Drafts::fp8Block,
        draft -> draft.makePlain(Drafts.ATTENTION + "o_proj"));
    drafted(
        "ignore-names-something",
        Severity.WARN,
        Drafts::fp8Block,
        draft -> draft.quantization().putArray("ignored_layers").add("layers.0.self_attn"));
    drafted(
        "ignore-whole-groups",
        Drafts::fp8Block,
        draft -> plainAndIgnored(draft, Drafts.ATTENTION + "q_a_proj"));
    drafted(
        "ignore-honoured",
        Drafts::fp8Block,
        draft -> {
          for (int expert = 0; expert < 4; expert++) {
            plainAndIgnored(draft, Drafts.EXPERTS + expert);
          }
        });
    put(
        "ct-int8-kv-b-plain",
        Severity.FAIL,
        Set.of(ServingRuntime.SGLANG),
        folder -> {
          ModelDraft draft = Drafts.ctInt8(Drafts.denseConfig());
          draft
              .quantization()
              .putArray("ignore")
              .add("lm_head")
              .add("re:.*eh_proj$")
              .add("re:.*shared_head\\.head$");
          for (int layer = 0; layer < 3; layer++) {
            String module = "model.layers." + layer + ".self_attn.kv_b_proj";
            Drafts.channel(draft, module, Shape.of(512, 128), ElementType.I8);
          }
          draft.write(folder);
        });
  }

  private void ascend() {
    String outOne = Drafts.ATTENTION + "o_proj.";
    described("ascend-description", description -> description.remove("model.norm.weight"));
    described("ascend-types", description -> description.put(outOne + "weight", "FLOAT"));
    described(
        "ascend-expert-types",
        description -> {
          for (String name : description.propertyNames().stream().toList()) {
            if (name.startsWith(Drafts.EXPERTS)) {
              description.put(name, "W8A16");
            }
          }
        });
    drafted(
        "ascend-offset-zero",
        Drafts::ascend,
        draft -> draft.setFloat(outOne + "weight_offset", 5, 1));
    drafted(
        "ascend-no-quantization-config",
        Drafts::ascend,
        draft -> draft.config.putObject("quantization_config").put("quant_method", "fp8"));
    drafted(
        "ascend-kv-b-float",
        Drafts::ascend,
        draft -> {
          String module = Drafts.ATTENTION + "kv_b_proj";
          Drafts.channel(draft, module, Shape.of(512, 128), ElementType.I8);
          draft.floats(module + ".weight_offset", Shape.of(512, 1), 0);
          Drafts.describe(draft, Map.of());
        });
  }

  private void nativeInt4() {
    forKTransformers("int4-groups-of-32", Drafts.packedInt4(128, ElementType.BF16));
    forKTransformers("int4-scales-bf16", Drafts.packedInt4(32, ElementType.F32));
    ModelDraft least = Drafts.rawInt4();
    least.bytes(Drafts.EXPERTS + "2.up_proj.weight_packed")[9] = 0x70;
    forKTransformers("int4-symmetric", least);
  }

  private void nativeFp8() {
    forKTransformers("fp8-blocks-of-128", Drafts.fp8Block(64));
  }

  private void forKTransformers(String rule, ModelDraft draft) {
    put(rule, Severity.FAIL, Set.of(ServingRuntime.KTRANSFORMERS), draft::write);
  }

  private void manifest() {
    written(
        "output-finished",
        Drafts::bf16,
        folder -> Files.writeString(folder.resolve("model-00003.safetensors.part"), "x"));
    written(
        "manifest-readable",
        Drafts::bf16,
        folder -> Files.writeString(folder.resolve("manifest.json"), "{\"format\":\"other/1\"}"));
    ours(
        "manifest-files",
        Drafts::bf16,
        _ -> {},
        manifest -> manifest.file("tokenizer.json").put("name", "tokenizer2.json"));
    ours(
        "manifest-tensors",
        Drafts::bf16,
        _ -> {},
        manifest -> manifest.tensor("model.norm.weight").put("offset", 16));
    ours("closed-world", Drafts::bf16, _ -> {}, manifest -> manifest.root.putArray("dropped"));
    ours(
        "tensor-digests",
        Drafts::bf16,
        _ -> {},
        manifest -> manifest.tensor("model.norm.weight").put("crc32c", "01234567"));
    ours(
        "file-digests",
        Drafts::bf16,
        _ -> {},
        manifest -> manifest.file("tokenizer.json").put("sha256", "0".repeat(64)));
  }

  private static void plainAndIgnored(ModelDraft draft, String prefix) {
    for (String name : draft.tensors.keySet().stream().toList()) {
      if (name.startsWith(prefix + ".") && name.endsWith(".weight")) {
        draft.makePlain(name.substring(0, name.length() - ".weight".length()));
      }
    }
    draft.quantization().withArray("ignored_layers").add(prefix);
  }

  private static ObjectNode group(ModelDraft draft) {
    return (ObjectNode) draft.quantization().get("config_groups").get("group_0");
  }

  private static ObjectNode weights(ModelDraft draft) {
    return (ObjectNode) group(draft).get("weights");
  }

  private static void cutShort(Path folder) throws IOException {
    Path shard = folder.resolve("model-00001-of-00002.safetensors");
    byte[] bytes = Files.readAllBytes(shard);
    Files.write(shard, java.util.Arrays.copyOf(bytes, bytes.length - 1));
  }

  private void drafted(String rule, Supplier<ModelDraft> good, Consumer<ModelDraft> spoil) {
    drafted(rule, Severity.FAIL, good, spoil);
  }

  private void drafted(
      String rule, Severity severity, Supplier<ModelDraft> good, Consumer<ModelDraft> spoil) {
    put(
        rule,
        severity,
        Set.of(),
        folder -> {
          ModelDraft draft = good.get();
          spoil.accept(draft);
          draft.write(folder);
        });
  }

  private void written(String rule, Supplier<ModelDraft> good, Writer spoil) {
    put(
        rule,
        Severity.FAIL,
        Set.of(),
        folder -> {
          good.get().write(folder);
          spoil.write(folder);
        });
  }

  private void indexed(String rule, Consumer<ObjectNode> spoil) {
    written(
        rule,
        Drafts::bf16,
        folder -> {
          Path file = folder.resolve("model.safetensors.index.json");
          ObjectNode index = (ObjectNode) ModelDraft.JSON.readTree(Files.readAllBytes(file));
          spoil.accept((ObjectNode) index.get("weight_map"));
          Files.writeString(file, index.toString());
        });
  }

  private void described(String rule, Consumer<ObjectNode> spoil) {
    drafted(
        rule,
        Drafts::ascend,
        draft -> {
          String file = "quant_model_description.json";
          ObjectNode description = (ObjectNode) ModelDraft.JSON.readTree(draft.files.get(file));
          spoil.accept(description);
          draft.files.put(file, description.toString());
        });
  }

  private void ours(
      String rule,
      Supplier<ModelDraft> good,
      Consumer<ModelDraft> spoil,
      Consumer<ManifestDraft> forge) {
    put(
        rule,
        Severity.FAIL,
        Set.of(),
        folder -> {
          ModelDraft draft = good.get();
          spoil.accept(draft);
          draft.write(folder);
          ManifestDraft manifest = ManifestDraft.of(folder);
          forge.accept(manifest);
          manifest.write(folder);
        });
  }

  private void put(String rule, Severity severity, Set<ServingRuntime> runtimes, Writer writer) {
    byRule.put(rule, new Broken(severity, runtimes, writer));
  }
}
