package smelt.verify;

import java.util.Map;
import java.util.Optional;
import java.util.Set;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.checkpoint.SourceTensor;

/// The tensors that share a name up to its last dot: a weight and what belongs to it.
///
/// @param name such as `model.layers.0.self_attn.q_a_proj`
/// @param parts by the name's last component, such as `weight` and `weight_scale_inv`
record WeightModule(String name, Map<String, SourceTensor> parts) {

  /// Names that only tensors beside a quantized weight have.
  static final Set<String> COMPANIONS =
      Set.of(
          "weight_scale_inv",
          "weight_scale",
          "weight_scale_2",
          "weight_scale_second",
          "weight_offset",
          "weight_offset_second",
          "weight_zero_point",
          "weight_shape",
          "weight_g_idx",
          "weight_global_scale",
          "input_scale",
          "input_offset",
          "input_zero_point",
          "input_global_scale",
          "deq_scale",
          "quant_bias",
          "scale_bias");

  /// The tensor of codes or numbers: `weight`, or `weight_packed` where there is no `weight`.
  Optional<SourceTensor> weight() {
    SourceTensor weight = parts.get("weight");
    return Optional.ofNullable(weight != null ? weight : parts.get("weight_packed"));
  }

  Optional<SourceTensor> part(String part) {
    return Optional.ofNullable(parts.get(part));
  }

  /// Whether the weight is stored as codes that mean nothing without a scale.
  boolean quantized() {
    return weight().isPresent()
        && (parts.containsKey("weight_packed") || isCode(weight().get().type()));
  }

  /// The weight's shape; empty when there is no matrix.
  Optional<Shape> matrix() {
    return weight().map(SourceTensor::shape).filter(shape -> shape.rank() == 2);
  }

  /// The last component of the name, such as `q_a_proj`.
  String last() {
    return name.substring(name.lastIndexOf('.') + 1);
  }

  /// The name up to its last component, with the dot.
  String parent() {
    return name.substring(0, name.lastIndexOf('.') + 1);
  }

  private static boolean isCode(ElementType type) {
    return switch (type) {
      case F8_E4M3, F8_E5M2, F8_E4M3FNUZ, F8_E5M2FNUZ, F8_E8M0, I8, U8, F4, F6_E2M3, F6_E3M2 ->
          true;
      case BOOL, I16, U16, F16, BF16, I32, U32, F32, C64, F64, I64, U64 -> false;
    };
  }
}
