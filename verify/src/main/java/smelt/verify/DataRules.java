package smelt.verify;

import java.util.List;
import java.util.Set;
import java.util.function.BiConsumer;

/// Rules on values, from what [DataScan] has found.
final class DataRules {

  static final String NOT_READ = "data was not read";

  private DataRules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.any(
            "scales-usable",
            "data",
            "every scale is finite, positive and normal",
            DataRules::scalesUsable),
        Rule.any(
            "scales-powers-of-two",
            "data, config",
            "where scale_fmt says ue8m0, every scale is a power of two",
            DataRules::powersOfTwo),
        Rule.any(
            "weights-finite",
            "data",
            "no weight is NaN or infinite, in codes or in numbers",
            DataRules::finite),
        Rule.any(
            "int8-symmetric",
            "data, config",
            "no INT8 code is -128 where codes are meant from -127 to 127",
            DataRules::symmetric));
  }

  private static void scalesUsable(Facts facts, Findings out) {
    each(
        facts,
        out,
        Set.of(
            Anomaly.Kind.SCALE_NOT_FINITE,
            Anomaly.Kind.SCALE_NOT_POSITIVE,
            Anomaly.Kind.SCALE_SUBNORMAL),
        (where, anomaly) ->
            out.fail(
                where,
                anomaly.found(),
                "finite positive normal scales",
                switch (anomaly.kind()) {
                  case SCALE_NOT_FINITE -> "NaN spreads through the layer: every answer is garbage";
                  case SCALE_SUBNORMAL -> "GPUs flush it to zero: the weights under it vanish";
                  default -> "the weights under it vanish or change sign";
                }));
  }

  private static void powersOfTwo(Facts facts, Findings out) {
    if (!(facts.quantization() instanceof Quantization.Fp8Block block && block.powersOfTwo())) {
      out.skip("scale_fmt is not ue8m0");
      return;
    }
    each(
        facts,
        out,
        Set.of(Anomaly.Kind.SCALE_NOT_POWER_OF_TWO),
        (where, anomaly) ->
            out.fail(
                where,
                anomaly.found(),
                "powers of two, as scale_fmt ue8m0 says",
                "kernels that keep only the exponent scale these blocks by up to a factor of 2"));
  }

  private static void finite(Facts facts, Findings out) {
    each(
        facts,
        out,
        Set.of(Anomaly.Kind.VALUE_NOT_FINITE),
        (where, anomaly) ->
            out.fail(
                where,
                anomaly.found(),
                "finite values",
                "NaN spreads to every token that uses this weight"));
  }

  private static void symmetric(Facts facts, Findings out) {
    boolean declared =
        switch (facts.quantization()) {
          case Quantization.Int8Block _, Quantization.Int8Channel _, Quantization.Ascend _ -> true;
          case Quantization.CompressedTensors _ -> facts.ours();
          case Quantization.None _,
              Quantization.Fp8Block _,
              Quantization.Fp8Tensor _,
              Quantization.Other _,
              Quantization.Malformed _ ->
              false;
        };
    if (!declared) {
      out.skip("the declared method has no such convention");
      return;
    }
    each(
        facts,
        out,
        Set.of(Anomaly.Kind.INT8_MINIMUM),
        (where, anomaly) ->
            out.add(
                facts.promised(),
                ServingRuntime.all(),
                where,
                anomaly.found(),
                "codes from -127 to 127",
                "kernels that negate codes overflow; whoever wrote it did not clamp"));
  }

  static void each(
      Facts facts, Findings out, Set<Anomaly.Kind> kinds, BiConsumer<String, Anomaly> found) {
    if (facts.data().isEmpty()) {
      out.skip(NOT_READ);
      return;
    }
    for (Anomaly anomaly : facts.data().get().anomalies()) {
      if (kinds.contains(anomaly.kind())) {
        found.accept(Facts.where(anomaly.tensor()), anomaly);
      }
    }
  }
}
