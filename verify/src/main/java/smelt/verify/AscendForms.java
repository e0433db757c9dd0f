package smelt.verify;

import java.util.List;
import java.util.Optional;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.verify.WeightForm.Coded;
import smelt.verify.WeightForm.Companion;

/// The forms that Ascend's description gives weights, and the tensors of each.
final class AscendForms {

  static final String FLOAT = "FLOAT";
  static final String DYNAMIC = "W8A8_DYNAMIC";
  static final String STATIC = "W8A8";

  private AscendForms() {}

  static WeightForm of(Description description, WeightModule module) {
    Optional<String> type = Optional.ofNullable(description.types().get(module.name() + ".weight"));
    return switch (type.orElse(FLOAT)) {
      case FLOAT -> new WeightForm.Plain();
      case DYNAMIC -> new Coded(DYNAMIC, ElementType.I8, "weight", dynamic(module));
      case STATIC -> new Coded(STATIC, ElementType.I8, "weight", fixed(module));
      default -> new WeightForm.Unknown(type.orElse(FLOAT));
    };
  }

  private static List<Companion> dynamic(WeightModule module) {
    Companion scale = WeightForm.channel(module, WeightForm.F32_ONLY);
    return List.of(
        scale, new Companion("weight_offset", WeightForm.F32_ONLY, scale.shapes(), true));
  }

  /// Companions of static W8A8. `deq_scale` holds the bits of floats as I64 for F16 models.
  static List<Companion> fixed(WeightModule module) {
    List<Shape> rows = module.matrix().map(m -> Shape.of(m.dim(0))).stream().toList();
    List<Shape> channel = WeightForm.channel(module, WeightForm.F32_ONLY).shapes();
    return List.of(
        new Companion("quant_bias", List.of(ElementType.I32), rows, true),
        new Companion("input_scale", WeightForm.FLOATS, WeightForm.SCALAR, true),
        new Companion("input_offset", WeightForm.FLOATS, WeightForm.SCALAR, true),
        new Companion("deq_scale", List.of(ElementType.F32, ElementType.I64), rows, true),
        new Companion("weight_scale", WeightForm.FLOATS, channel, false),
        new Companion("weight_offset", WeightForm.FLOATS, channel, false));
  }
}
