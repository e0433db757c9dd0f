package smelt.verify;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.checkpoint.SourceTensor;

/// How one module's weight is encoded, and which tensors must lie beside it.
///
/// | form | codes | companions |
/// |---|---|---|
/// | FP8 or INT8 block | `weight` `[o,i]` | `weight_scale_inv` F32 `[⌈o/r⌉,⌈i/c⌉]` |
/// | FP8 tensor | `weight` | `weight_scale` F32 scalar, `input_scale` where activations are static |
/// | INT8 channel | `weight` | `weight_scale` F32 `[o,1]` |
/// | compressed-tensors | `weight` | `weight_scale` by strategy: `[1]`, `[o,1]`, blocks, `[o,i/g]` |
/// | pack-quantized | `weight_packed` I32 `[o,⌈i·b/32⌉]` | `weight_scale`, `weight_shape` I64 `[2]` |
/// | Ascend W8A8_DYNAMIC | `weight` | `weight_scale`, `weight_offset` F32 `[o,1]` |
/// | Ascend W8A8 | `weight` | `quant_bias` I32 `[o]`, `input_scale`, `input_offset` `[1]`, `deq_scale` `[o]` |
sealed interface WeightForm {

  /// Numbers as they are.
  record Plain() implements WeightForm {}

  /// Codes with companions.
  ///
  /// @param codes the element type of the codes
  /// @param part the tensor that holds them: `weight` or `weight_packed`
  record Coded(String label, ElementType codes, String part, List<Companion> companions)
      implements WeightForm {}

  /// Something that these rules do not know, so do not judge.
  record Unknown(String what) implements WeightForm {}

  /// A tensor beside the codes.
  ///
  /// @param types exact element types; other floats in place of F32 load, but are rounded
  /// @param shapes allowed shapes
  record Companion(String part, List<ElementType> types, List<Shape> shapes, boolean required) {}

  List<ElementType> F32_ONLY = List.of(ElementType.F32);
  List<ElementType> FLOATS = List.of(ElementType.F32, ElementType.BF16, ElementType.F16);
  List<Shape> SCALAR = List.of(Shape.of(1), Shape.of());
  Set<ElementType> NUMBERS =
      EnumSet.of(ElementType.BF16, ElementType.F16, ElementType.F32, ElementType.F64);

  /// The form that the checkpoint's declaration gives a module.
  static WeightForm declared(Quantization quantization, WeightModule module) {
    return switch (quantization) {
      case Quantization.None _ -> new Plain();
      case Quantization.Fp8Block b ->
          nativeForm(b.ignored(), module, ElementType.F8_E4M3, block(module, b.rows(), b.cols()));
      case Quantization.Int8Block b ->
          nativeForm(b.ignored(), module, ElementType.I8, block(module, b.rows(), b.cols()));
      case Quantization.Int8Channel c ->
          nativeForm(c.ignored(), module, ElementType.I8, List.of(channel(module, F32_ONLY)));
      case Quantization.Fp8Tensor t ->
          nativeForm(
              t.ignored(),
              module,
              ElementType.F8_E4M3,
              List.of(
                  new Companion("weight_scale", FLOATS, SCALAR, true),
                  new Companion("input_scale", FLOATS, SCALAR, false)));
      case Quantization.CompressedTensors(CtConfig config) -> CtForms.of(config, module);
      case Quantization.Ascend(Description description) -> AscendForms.of(description, module);
      case Quantization.Other(String method) -> new Unknown(method);
      case Quantization.Malformed _ -> new Unknown("an unreadable quantization_config");
    };
  }

  /// The form that the stored tensors themselves suggest; for weights whose declaration is missing
  /// or wrong.
  static WeightForm stored(WeightModule module) {
    if (!module.quantized()) {
      return new Plain();
    }
    SourceTensor weight = module.weight().orElseThrow();
    if (module.parts().containsKey("weight_packed") || module.matrix().isEmpty()) {
      return new Unknown(weight.type() + " " + weight.name());
    }
    return new Coded(
        weight.type() + " by its companions", weight.type(), "weight", guessed(module));
  }

  private static List<Companion> guessed(WeightModule module) {
    if (module.part("deq_scale").isPresent()) {
      return AscendForms.fixed(module);
    }
    if (module.part("weight_scale_inv").isPresent()) {
      return block(module, 128, 128);
    }
    Optional<SourceTensor> scale = module.part("weight_scale");
    if (scale.isPresent()) {
      return List.of(
          new Companion("weight_scale", FLOATS, scaleShapes(module), true),
          new Companion("weight_offset", FLOATS, scaleShapes(module), false));
    }
    return module.part("scale").isPresent()
        ? List.of()
        : List.of(new Companion("weight_scale_inv", FLOATS, blockShape(module, 128, 128), true));
  }

  /// Scalar, one for each row, or 128 x 128 blocks.
  private static List<Shape> scaleShapes(WeightModule module) {
    List<Shape> shapes = new ArrayList<>(SCALAR);
    shapes.addAll(channel(module, FLOATS).shapes());
    shapes.addAll(blockShape(module, 128, 128));
    return shapes;
  }

  private static WeightForm nativeForm(
      List<String> ignored, WeightModule module, ElementType codes, List<Companion> companions) {
    boolean left =
        !LinearNames.isLinear(module)
            || ignored.stream().anyMatch(entry -> LinearNames.ignores(entry, module.name()));
    return left ? new Plain() : new Coded(codes + " codes", codes, "weight", companions);
  }

  private static List<Companion> block(WeightModule module, int rows, int cols) {
    return List.of(
        new Companion("weight_scale_inv", F32_ONLY, blockShape(module, rows, cols), true));
  }

  static List<Shape> blockShape(WeightModule module, int rows, int cols) {
    return module
        .matrix()
        .map(
            m -> Shape.of(Math.ceilDiv(m.dim(0), (long) rows), Math.ceilDiv(m.dim(1), (long) cols)))
        .stream()
        .toList();
  }

  static Companion channel(WeightModule module, List<ElementType> types) {
    return new Companion(
        "weight_scale",
        types,
        module.matrix().map(m -> Shape.of(m.dim(0), 1)).stream().toList(),
        true);
  }
}
