package smelt.converter.target;

import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import smelt.formats.checkpoint.TensorRole;

/// Which tensors a target quantizes, and which stay in high precision: the one table, after the
/// rules of the loaders.
///
/// Only linear weights of attention, indexer and feed-forward blocks are ever quantized. Embedding,
/// head, norms, biases, router, router bias, the indexer's `weights_proj` and norms, and the parts
/// that only an MTP layer has (`eh_proj` above all) are `NEVER`: no loader expects them quantized.
public enum Precision {
  /// The target quantizes it.
  QUANTIZED,
  /// The target could quantize it, but keeps it in high precision for the reason in the table.
  KEPT,
  /// No loader of the target accepts it quantized.
  NEVER;

  /// A role that a target keeps although it is a quantizable linear, and why.
  public record Kept(String role, String reason) {}

  private static final Kept KV_B_UNSCALED =
      new Kept(
          "attention.kv_b",
          "SGLang absorbs kv_b_proj at load and would use compressed-tensors INT8 codes unscaled");
  private static final Kept KV_B_FLOAT =
      new Kept("attention.kv_b", "Ascend's loaders split kv_b_proj and want it FLOAT");
  private static final Kept INDEXER_FLOAT =
      new Kept("indexer", "Ascend's sparse-attention indexer is loaded as FLOAT");

  private static final Kept KV_B_PACKED =
      new Kept(
          "attention.kv_b",
          "vLLM unpacks kv_b_proj at load to absorb it: 4 bits would cost accuracy and save no memory");
  private static final Kept INDEXER_PACKED =
      new Kept(
          "indexer",
          "it is small, and picks the tokens that attention sees: no later sum evens errors out");

  private static final String LEFT_TO_GPU =
      "KTransformers reads only routed experts here, the rest comes from the GPU's checkpoint";

  private static final List<Kept> ALL_BUT_ROUTED_EXPERTS =
      Stream.of("attention", "indexer", "dense_mlp", "shared_expert")
          .map(role -> new Kept(role, LEFT_TO_GPU))
          .toList();

  private static final Map<Target, List<Kept>> KEPT_BY_TARGET =
      Map.of(
          Target.FP8_BLOCK, List.of(),
          Target.CT_FP8_BLOCK, List.of(),
          Target.CT_FP8_CHANNEL, List.of(),
          Target.INT8_CHANNEL, List.of(),
          Target.INT8_BLOCK, List.of(),
          Target.CT_INT8, List.of(KV_B_UNSCALED),
          Target.CT_W4A16, List.of(KV_B_PACKED, INDEXER_PACKED),
          Target.RAWINT4, ALL_BUT_ROUTED_EXPERTS,
          Target.ASCEND_W8A8, List.of(KV_B_FLOAT, INDEXER_FLOAT));

  /// The quantizable linears that this target keeps.
  public static List<Kept> kept(Target target) {
    return KEPT_BY_TARGET.getOrDefault(target, List.of());
  }

  /// What the target does with a tensor of this role when the recipe says nothing.
  public static Precision of(Target target, TensorRole role) {
    if (target == Target.BF16 || !isQuantizableLinear(role)) {
      return NEVER;
    }
    String label = role.label();
    for (Kept kept : kept(target)) {
      if (label.equals(kept.role()) || label.startsWith(kept.role() + ".")) {
        return KEPT;
      }
    }
    return QUANTIZED;
  }

  private static boolean isQuantizableLinear(TensorRole role) {
    return switch (role) {
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
}
