package smelt.verify.report;

import java.util.ArrayList;
import java.util.List;

/// One axis of a plot: values from `low` to `high` lie at pixels `from` to `to`.
///
/// @param log whether equal ratios have equal lengths; then `low` is positive
record Axis(double low, double high, boolean log, double from, double to) {

  private static final String SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

  Axis {
    if (!(high > low) || (log && !(low > 0))) {
      throw new IllegalArgumentException("no axis from " + low + " to " + high);
    }
  }

  /// The pixel of a value; values beyond an end lie at that end.
  double at(double value) {
    double inside = Math.clamp(value, low, high);
    double part =
        log
            ? (Math.log(inside) - Math.log(low)) / (Math.log(high) - Math.log(low))
            : (inside - low) / (high - low);
    return from + part * (to - from);
  }

  /// Round values, at most about `most` of them.
  List<Double> ticks(int most) {
    return log ? decades(most) : steps(most);
  }

  /// How a tick is written.
  String label(double tick) {
    if (!log) {
      return tick == Math.rint(tick) && Math.abs(tick) < 1e6
          ? Figures.count((long) tick)
          : Figures.significant(tick, 4)
              .replaceFirst("(\\.\\d*?)0+$", "$1")
              .replaceFirst("\\.$", "");
    }
    int exponent = (int) Math.round(Math.log10(tick));
    return exponent >= -2 && exponent <= 4
        ? (exponent < 0 ? Figures.fixed(tick, -exponent) : Figures.count(Math.round(tick)))
        : "10" + superscript(exponent);
  }

  private List<Double> decades(int most) {
    int first = (int) Math.ceil(Math.log10(low) - 1e-9);
    int last = (int) Math.floor(Math.log10(high) + 1e-9);
    int stride = Math.max(1, (last - first + most) / most);
    List<Double> ticks = new ArrayList<>();
    for (int exponent = first; exponent <= last; exponent++) {
      if (Math.floorMod(exponent, stride) == 0) {
        ticks.add(Math.pow(10, exponent));
      }
    }
    return ticks;
  }

  private List<Double> steps(int most) {
    double step = step((high - low) / most);
    List<Double> ticks = new ArrayList<>();
    for (long i = (long) Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
      ticks.add(i * step);
    }
    return ticks;
  }

  /// The smallest of 1, 2, 5 times a power of ten that is not below `least`.
  static double step(double least) {
    double power = Math.pow(10, Math.floor(Math.log10(least)));
    for (double factor : new double[] {1, 2, 5}) {
      if (factor * power >= least * (1 - 1e-9)) {
        return factor * power;
      }
    }
    return 10 * power;
  }

  private static String superscript(int exponent) {
    StringBuilder out = new StringBuilder(exponent < 0 ? "⁻" : "");
    String.valueOf(Math.abs(exponent))
        .chars()
        .forEach(c -> out.append(SUPERSCRIPTS.charAt(c - '0')));
    return out.toString();
  }
}
