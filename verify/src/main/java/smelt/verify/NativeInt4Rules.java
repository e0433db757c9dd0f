package smelt.verify;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.SourceTensor;

/// Rules of KTransformers' `RAWINT4`, which computes with a checkpoint's packed INT4 experts as
/// they are. Its kernels for AVX-512 and AMX compare nothing with the files: what they do not
/// expect they multiply wrongly, without a word.
final class NativeInt4Rules {

  private static final Set<ServingRuntime> KTRANSFORMERS = EnumSet.of(ServingRuntime.KTRANSFORMERS);
  private static final long GROUP = 32;
  private static final long PER_WORD = 8;
  private static final String NO_EXPERTS = "no routed expert is packed INT4";

  /// A routed expert's packed codes and their scales.
  private record Packed(SourceTensor codes, SourceTensor scale) {

    long group() {
      long groups = scale.shape().rank() == 2 ? scale.shape().dim(1) : 1;
      return groups == 0 ? 0 : codes.shape().dim(1) * PER_WORD / groups;
    }
  }

  private NativeInt4Rules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.of(
            "int4-groups-of-32",
            KTRANSFORMERS,
            "headers, config",
            "packed INT4 experts have groups of 32",
            NativeInt4Rules::groups),
        Rule.of(
            "int4-scales-bf16",
            KTRANSFORMERS,
            "headers, config",
            "scales of packed INT4 experts are BF16",
            NativeInt4Rules::scales),
        Rule.of(
            "int4-symmetric",
            KTRANSFORMERS,
            "data, config",
            "no INT4 code of an expert is -8",
            NativeInt4Rules::symmetric));
  }

  private static List<Packed> packed(Facts facts) {
    if (!(facts.quantization() instanceof Quantization.CompressedTensors(CtConfig config))
        || config.groups().stream()
            .flatMap(group -> group.weights().stream())
            .noneMatch(weights -> weights.isPackedInt() && weights.bits() == 4)) {
      return List.of();
    }
    List<Packed> all = new ArrayList<>();
    for (WeightModule module : facts.modules().values()) {
      Optional<SourceTensor> codes = module.part("weight_packed");
      Optional<SourceTensor> scale = module.part("weight_scale");
      if (LinearNames.expert(module.name()).isPresent()
          && codes.filter(c -> c.type() == ElementType.I32 && c.shape().rank() == 2).isPresent()
          && scale.isPresent()) {
        all.add(new Packed(codes.get(), scale.get()));
      }
    }
    return all;
  }

  private static void groups(Facts facts, Findings out) {
    List<Packed> experts = packed(facts);
    if (experts.isEmpty()) {
      out.skip(NO_EXPERTS);
      return;
    }
    List<Packed> others = experts.stream().filter(expert -> expert.group() != GROUP).toList();
    if (!others.isEmpty()) {
      out.fail(
          Facts.where(others.getFirst().codes()),
          "groups of " + others.getFirst().group() + ", " + of(others, experts),
          "groups of 32",
          "the kernels for AVX-512 and AMX take every 32 codes with the next scale: results are off"
              + " by 0.6 to 0.9 of themselves, without a message");
    }
  }

  private static void scales(Facts facts, Findings out) {
    List<Packed> experts = packed(facts);
    if (experts.isEmpty()) {
      out.skip(NO_EXPERTS);
      return;
    }
    List<Packed> others =
        experts.stream().filter(expert -> expert.scale().type() != ElementType.BF16).toList();
    if (!others.isEmpty()) {
      out.fail(
          Facts.where(others.getFirst().scale()),
          others.getFirst().scale().type() + ", " + of(others, experts),
          "BF16",
          "the loader stops at its first assertion");
    }
  }

  private static String of(List<Packed> some, List<Packed> all) {
    return some.size() + " of " + all.size() + " expert matrices";
  }

  private static void symmetric(Facts facts, Findings out) {
    List<Packed> experts = packed(facts);
    if (experts.isEmpty()) {
      out.skip(NO_EXPERTS);
      return;
    }
    List<SourceTensor> codes = experts.stream().map(Packed::codes).toList();
    DataRules.each(
        facts,
        out,
        Set.of(Anomaly.Kind.INT4_MINIMUM),
        (where, anomaly) -> {
          if (codes.contains(anomaly.tensor())) {
            out.fail(
                where,
                anomaly.found(),
                "codes from -7 to 7",
                "the kernels for AVX-512 and AMX multiply -8 with the wrong sign: with 0.8 % of such"
                    + " codes results are off by as much as they are");
          }
        });
  }
}
