package smelt.formats.checkpoint;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.safetensors.SafetensorsLayout;
import smelt.formats.safetensors.SafetensorsLayout.Tensor;
import tools.jackson.databind.node.ObjectNode;

/// Makes valid checkpoints of any supported architecture for tests: small by default, any size by
/// changing the config, filled with seeded random numbers. Values are finite, FP8 codes are never
/// NaN, INT8 codes never -128, scales positive and normal.
///
///     SyntheticCheckpoint.of(Architecture.QWEN3_MOE).form(Form.FP8_BLOCK).seed(7).write(folder);
///
/// The same settings give the same bytes. Filling runs at the speed of a memory copy, so gigabytes
/// are fine. With several shards, every seventh scale lies in another shard than its weight.
///
/// @param config the whole `config.json`
/// @param shards number of shards; one gives `model.safetensors` without an index
public record SyntheticCheckpoint(
    Architecture architecture, ObjectNode config, Form form, long seed, int shards) {

  /// How the linear layers are stored. Embedding, head, norms, routers and `eh_proj` stay BF16, the
  /// router's bias F32.
  public enum Form {
    BF16,
    /// E4M3 with F32 scales per 128 x 128 block.
    FP8_BLOCK,
    /// The same with scales that are powers of two.
    FP8_BLOCK_UE8M0,
    /// I8 with F32 scales per 128 x 128 block.
    INT8_BLOCK,
    /// I8 with one F32 scale per row.
    INT8_CHANNEL
  }

  /// A small BF16 model of an architecture in two shards. DeepSeek-V2 is made as V2-Lite, without
  /// `q_lora_rank`.
  public static SyntheticCheckpoint of(Architecture architecture) {
    return new SyntheticCheckpoint(
        architecture, SyntheticConfigs.config(architecture), Form.BF16, 1, 2);
  }

  public SyntheticCheckpoint form(Form form) {
    ObjectNode changed = config.deepCopy();
    changed.remove("quantization_config");
    switch (form) {
      case BF16 -> {}
      case FP8_BLOCK -> quantization(changed, "fp8").put("fmt", "e4m3");
      case FP8_BLOCK_UE8M0 ->
          quantization(changed, "fp8").put("fmt", "e4m3").put("scale_fmt", "ue8m0");
      case INT8_BLOCK -> quantization(changed, "blockwise_int8");
      case INT8_CHANNEL -> quantization(changed, "w8a8_int8").remove("weight_block_size");
    }
    return new SyntheticCheckpoint(architecture, changed, form, seed, shards);
  }

  public SyntheticCheckpoint seed(long seed) {
    return new SyntheticCheckpoint(architecture, config, form, seed, shards);
  }

  public SyntheticCheckpoint shards(int shards) {
    return new SyntheticCheckpoint(architecture, config, form, seed, shards);
  }

  /// Changes a number of the config, such as `hidden_size`.
  public SyntheticCheckpoint with(String key, int value) {
    ObjectNode changed = config.deepCopy();
    changed.put(key, value);
    return new SyntheticCheckpoint(architecture, changed, form, seed, shards);
  }

  /// Changes a flag of the config, such as `tie_word_embeddings`.
  public SyntheticCheckpoint with(String key, boolean value) {
    ObjectNode changed = config.deepCopy();
    changed.put(key, value);
    return new SyntheticCheckpoint(architecture, changed, form, seed, shards);
  }

  /// The same architecture with every linear's rows a multiple of 128.
  public SyntheticCheckpoint wholeGroups() {
    SyntheticCheckpoint wide =
        with("hidden_size", 256).with("intermediate_size", 384).with("moe_intermediate_size", 128);
    return config.path("q_lora_rank").isNumber() ? wide.with("q_lora_rank", 128) : wide;
  }

  /// The checkpoint as a draft, in which faults can be planted. Its `write` leaves the data zero.
  public CheckpointDraft draft() {
    if (shards == 1) {
      CheckpointDraft draft = new CheckpointDraft(config.deepCopy());
      tensors().forEach(t -> draft.add("model.safetensors", t));
      return draft;
    }
    CheckpointDraft draft = CheckpointDraft.spread(config.deepCopy(), tensors(), shards);
    List<String> scales =
        draft.weightMap().keySet().stream().filter(n -> n.contains(".weight_scale")).toList();
    for (int i = 0; i < scales.size(); i += 7) {
      String file = draft.weightMap().get(scales.get(i));
      List<String> files = List.copyOf(draft.shards().keySet());
      draft.move(scales.get(i), files.get((files.indexOf(file) + 1) % files.size()));
    }
    return draft;
  }

  /// Writes the checkpoint with its data, and a `generation_config.json`, and returns the folder.
  public Path write(Path folder) throws IOException {
    CheckpointDraft draft = draft();
    draft.write(folder);
    if (shards == 1) {
      Files.delete(folder.resolve(CheckpointDraft.INDEX));
    }
    RandomData data = new RandomData(seed);
    for (Map.Entry<String, List<Tensor>> shard : draft.shards().entrySet()) {
      SafetensorsLayout layout = SafetensorsLayout.of(shard.getValue(), Map.of("format", "pt"));
      data.fill(folder.resolve(shard.getKey()), layout, form == Form.FP8_BLOCK_UE8M0);
    }
    Files.writeString(
        folder.resolve("generation_config.json"), "{\"bos_token_id\": 0, \"eos_token_id\": 1}\n");
    return folder;
  }

  private List<Tensor> tensors() {
    ModelConfig parsed =
        ModelConfig.parse("config.json", CheckpointDraft.JSON.writeValueAsBytes(config));
    List<Tensor> tensors = new ArrayList<>();
    architecture.weights(parsed, weight -> addStored(weight, tensors));
    return tensors;
  }

  private void addStored(ExpectedWeight weight, List<Tensor> tensors) {
    Shape shape = weight.shape();
    String name = weight.name();
    if (weight.presence() == ExpectedWeight.Presence.OPTIONAL) {
      return;
    }
    if (form == Form.BF16 || !isLinear(weight)) {
      boolean bias = weight.role() instanceof TensorRole.RouterBias;
      tensors.add(new Tensor(name, bias ? ElementType.F32 : ElementType.BF16, shape));
      return;
    }
    boolean fp8 = form == Form.FP8_BLOCK || form == Form.FP8_BLOCK_UE8M0;
    tensors.add(new Tensor(name, fp8 ? ElementType.F8_E4M3 : ElementType.I8, shape));
    tensors.add(
        form == Form.INT8_CHANNEL
            ? new Tensor(name + "_scale", ElementType.F32, Shape.of(shape.dim(0), 1))
            : new Tensor(
                name + "_scale_inv",
                ElementType.F32,
                Shape.of((shape.dim(0) + 127) / 128, (shape.dim(1) + 127) / 128)));
  }

  private static boolean isLinear(ExpectedWeight weight) {
    return switch (weight.role()) {
      case TensorRole.Attention _,
          TensorRole.DenseMlp _,
          TensorRole.RoutedExpert _,
          TensorRole.SharedExpert _ ->
          true;
      case TensorRole.Indexer indexer ->
          switch (indexer.part()) {
            case WQ_B, WK -> true;
            case K_NORM, K_NORM_BIAS, WEIGHTS_PROJ -> false;
          };
      case TensorRole.Embedding _,
          TensorRole.Head _,
          TensorRole.FinalNorm _,
          TensorRole.Norm _,
          TensorRole.AttentionBias _,
          TensorRole.Router _,
          TensorRole.RouterBias _,
          TensorRole.Mtp _,
          TensorRole.Foreign _ ->
          false;
    };
  }

  private static ObjectNode quantization(ObjectNode config, String method) {
    ObjectNode node = config.putObject("quantization_config");
    node.put("activation_scheme", "dynamic").put("quant_method", method);
    node.putArray("weight_block_size").add(128).add(128);
    return node;
  }
}
