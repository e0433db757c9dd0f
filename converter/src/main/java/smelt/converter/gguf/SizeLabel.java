package smelt.converter.gguf;

import java.util.List;
import java.util.Locale;
import smelt.formats.gguf.GgufLayout;

/// `general.size_label`: the number of parameters for people, such as `256x20B`: experts, and the
/// parameters outside of experts plus those of one expert in each layer.
final class SizeLabel {

  private SizeLabel() {}

  static String of(List<GgufLayout.Tensor> tensors) {
    long shared = 0;
    long oneExpert = 0;
    long experts = 0;
    for (GgufLayout.Tensor tensor : tensors) {
      long elements = tensor.dims().stream().reduce(1L, Math::multiplyExact);
      if (tensor.name().contains("_exps.")) {
        experts = tensor.dims().get(2);
        oneExpert = Math.addExact(oneExpert, elements / experts);
      } else {
        shared = Math.addExact(shared, elements);
      }
    }
    String size = rounded(Math.addExact(shared, oneExpert));
    return experts > 0 ? experts + "x" + size : size;
  }

  /// Two digits at least: `1.5B`, `21B`, `671B`.
  private static String rounded(long parameters) {
    String[] units = {"K", "M", "B", "T"};
    int unit = 0;
    double scaled = parameters / 1e3;
    while (scaled > 1e3 && unit < units.length - 1) {
      scaled /= 1e3;
      unit++;
    }
    String format = Math.rint(scaled) < 10 ? "%.1f%s" : "%.0f%s";
    return String.format(Locale.ROOT, format, scaled, units[unit]);
  }
}
