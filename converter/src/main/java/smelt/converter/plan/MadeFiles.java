package smelt.converter.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import smelt.converter.plan.TargetPlan.SmallFile;
import smelt.converter.recipe.MtpPolicy;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.target.Target;
import smelt.converter.target.TargetConfig;
import smelt.converter.target.TargetFormat;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;

/// The small files of a target that are made from what is written: config, index, and for Ascend
/// the description of every tensor.
final class MadeFiles {

  private MadeFiles() {}

  static List<SmallFile> of(
      Checkpoint checkpoint,
      Recipe recipe,
      TargetSpec spec,
      TargetFormat format,
      List<Unit> units,
      int target,
      List<TargetPlan.Shard> shards) {
    boolean departs = !spec.keep().isEmpty() || !spec.quantize().isEmpty();
    TargetConfig config =
        new TargetConfig(
            spec.target(),
            scaleFormat(format),
            unquantizedLinears(units, target),
            departs || !knownToLoaders(checkpoint.architecture()),
            recipe.mtp() == MtpPolicy.DROP,
            recipe.copyCode());
    List<SmallFile> files = new ArrayList<>();
    files.add(
        new SmallFile(
            "config.json", TargetConfig.pretty(config.apply(checkpoint.config().tree())), ""));
    files.add(index(format.indexName(), shards));
    if (spec.target() == Target.ASCEND_W8A8) {
      files.add(new SmallFile("quant_model_description.json", description(units, target), ""));
    }
    return files;
  }

  /// Loaders of DeepSeek-V3 know which of its linears are never quantized.
  private static boolean knownToLoaders(Architecture architecture) {
    return switch (architecture) {
      case DEEPSEEK_V3, DEEPSEEK_V32 -> true;
      case DEEPSEEK_V2, QWEN3_MOE, QWEN2, LLAMA, MIXTRAL -> false;
    };
  }

  private static ScaleFormat scaleFormat(TargetFormat format) {
    return format.quantized().orElse(null) instanceof Encoding.Block block
        ? block.scaleFormat()
        : ScaleFormat.FLOAT;
  }

  /// Module names of the linears that are not quantized in this target's output, sorted.
  private static List<String> unquantizedLinears(List<Unit> units, int target) {
    TreeSet<String> names = new TreeSet<>();
    for (Unit unit : units) {
      for (Job job : unit.jobs()) {
        if (job.isPlain(target) && isLinear(job.weight().role())) {
          String name = job.weight().name();
          names.add(name.substring(0, name.length() - ".weight".length()));
        }
      }
    }
    return List.copyOf(names);
  }

  private static boolean isLinear(TensorRole role) {
    return switch (role) {
      case TensorRole.Attention _,
          TensorRole.DenseMlp _,
          TensorRole.RoutedExpert _,
          TensorRole.SharedExpert _,
          TensorRole.Router _,
          TensorRole.Head _ ->
          true;
      case TensorRole.Indexer indexer ->
          switch (indexer.part()) {
            case WQ_B, WK, WEIGHTS_PROJ -> true;
            case K_NORM, K_NORM_BIAS -> false;
          };
      case TensorRole.Mtp mtp ->
          switch (mtp.part()) {
            case EH_PROJ, HEAD -> true;
            case EMBEDDING, ENORM, HNORM, HEAD_NORM -> false;
          };
      case TensorRole.Embedding _,
          TensorRole.FinalNorm _,
          TensorRole.Norm _,
          TensorRole.AttentionBias _,
          TensorRole.RouterBias _,
          TensorRole.Foreign _ ->
          false;
    };
  }

  /// The index of a checkpoint: the shard of every tensor.
  static SmallFile index(String name, List<TargetPlan.Shard> shards) {
    long total = 0;
    TreeMap<String, String> weightMap = new TreeMap<>();
    for (TargetPlan.Shard shard : shards) {
      for (ShardLayout.Part tensor : shard.layout().parts()) {
        weightMap.put(tensor.name(), shard.name());
        total = Math.addExact(total, tensor.bytes());
      }
    }
    TreeMap<String, Object> index = new TreeMap<>();
    index.put("metadata", Map.of("total_size", total));
    index.put("weight_map", weightMap);
    return new SmallFile(name, TargetConfig.pretty(index), "");
  }

  /// Every tensor of the output and how it is quantized, as vllm-ascend, SGLang and MindIE read it.
  private static byte[] description(List<Unit> units, int target) {
    TreeMap<String, Object> keys = new TreeMap<>();
    for (Unit unit : units) {
      for (Job job : unit.jobs()) {
        if (job.output(target).orElse(null) instanceof Job.Output.Tensor output) {
          String dynamic = output.scale().isPresent() ? "W8A8_DYNAMIC" : "FLOAT";
          String type = output.inputs().isPresent() ? "W8A8" : dynamic;
          output.tensors().forEach(name -> keys.put(name, type));
        }
      }
    }
    keys.put("model_quant_type", "W8A8_DYNAMIC");
    keys.put("version", "1.0.0");
    keys.put("group_size", 0);
    keys.put("metadata", Map.of());
    keys.put("optional", Map.of());
    return TargetConfig.pretty(keys);
  }
}
