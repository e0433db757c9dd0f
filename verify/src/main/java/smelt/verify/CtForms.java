package smelt.verify;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.verify.CtArgs.Dynamic;
import smelt.verify.WeightForm.Coded;
import smelt.verify.WeightForm.Companion;

/// The forms that compressed-tensors gives weights.
final class CtForms {

  private CtForms() {}

  static WeightForm of(CtConfig config, WeightModule module) {
    Optional<CtConfig.Group> group = config.groupOf(module.name());
    if (group.isEmpty() || (!LinearNames.isLinear(module) && !named(group.get(), module))) {
      return new WeightForm.Plain();
    }
    if (group.get().weights().isEmpty()) {
      return new WeightForm.Unknown("group " + group.get().name() + " without weights");
    }
    CtArgs args = group.get().weights().get();
    if (args.isPackedInt() && isPacked(config, group.get())) {
      return packed(args, module);
    }
    if (args.isFp8() || args.isInt8Channel()) {
      ElementType codes = args.integer() ? ElementType.I8 : ElementType.F8_E4M3;
      return new Coded(codes + " codes", codes, "weight", companions(args, group.get(), module));
    }
    return new WeightForm.Unknown("compressed-tensors group " + group.get().name());
  }

  static boolean isPacked(CtConfig config, CtConfig.Group group) {
    return group.format().or(config::format).filter("pack-quantized"::equals).isPresent();
  }

  private static boolean named(CtConfig.Group group, WeightModule module) {
    return group.targets().matches(module.name());
  }

  private static List<Companion> companions(
      CtArgs args, CtConfig.Group group, WeightModule module) {
    List<Companion> companions = new ArrayList<>();
    companions.add(new Companion("weight_scale", WeightForm.FLOATS, scale(args, module), true));
    if (group.input().isPresent() && group.input().get().dynamic() == Dynamic.STATIC) {
      companions.add(new Companion("input_scale", WeightForm.FLOATS, WeightForm.SCALAR, true));
      if (!group.input().get().symmetric()) {
        companions.add(
            new Companion("input_zero_point", List.of(ElementType.I8), WeightForm.SCALAR, true));
      }
    }
    return companions;
  }

  private static List<Shape> scale(CtArgs args, WeightModule module) {
    return switch (args.strategy()) {
      case TENSOR -> WeightForm.SCALAR;
      case CHANNEL, TOKEN, ATTN_HEAD -> WeightForm.channel(module, WeightForm.FLOATS).shapes();
      case BLOCK ->
          args.block()
              .map(block -> WeightForm.blockShape(module, block.rows(), block.cols()))
              .orElse(List.of());
      case GROUP, TENSOR_GROUP -> List.of();
    };
  }

  /// `weight_packed` tells the columns only in words of 32 bits; the scales are checked against
  /// them.
  private static WeightForm packed(CtArgs args, WeightModule module) {
    List<Shape> scales =
        module
            .matrix()
            .map(words -> {
              long cols = words.dim(1) * 32 / args.bits();
              long group = args.groupSize().orElse(-1);
              return Shape.of(words.dim(0), group < 1 ? 1 : Math.ceilDiv(cols, group));
            })
            .stream()
            .toList();
    List<Companion> companions = new ArrayList<>();
    companions.add(new Companion("weight_scale", WeightForm.FLOATS, scales, true));
    companions.add(
        new Companion("weight_shape", List.of(ElementType.I64), List.of(Shape.of(2)), true));
    companions.add(
        new Companion("weight_zero_point", List.of(ElementType.I32), List.of(), !args.symmetric()));
    companions.add(new Companion("weight_g_idx", List.of(ElementType.I32), List.of(), false));
    return new Coded("packed codes", ElementType.I32, "weight_packed", companions);
  }
}
