package smelt.verify.report;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.function.DoubleFunction;
import smelt.verify.quality.Metric;

/// Numbers as people read them, with units. Nothing rounds to a bound or to perfection: a share
/// below one never reads `100 %`.
final class Figures {

  private static final String[] BYTES = {"B", "kB", "MB", "GB", "TB", "PB"};

  private Figures() {}

  /// So many significant digits; `1.2e-9` outside of 0.0001 to 10,000,000.
  static String significant(double value, int digits) {
    if (!Double.isFinite(value)) {
      return Double.isNaN(value) ? "not a number" : value > 0 ? "∞" : "−∞";
    }
    double size = Math.abs(value);
    if (size == 0) {
      return "0";
    }
    if (size < 1e-4 || size >= 1e7) {
      return String.format(Locale.ROOT, "%." + (digits - 1) + "e", value)
          .replace("e-0", "e-")
          .replace("e+0", "e");
    }
    return new BigDecimal(value).round(new MathContext(digits)).toPlainString();
  }

  /// `99.87 %`; more digits where fewer would round to 0 or 100.
  static String share(double value) {
    return share(value, 2);
  }

  private static String share(double value, int decimals) {
    if (!Double.isFinite(value)) {
      return significant(value, 2);
    }
    if (value == 0 || value == 1) {
      return value == 0 ? "0 %" : "100 %";
    }
    double gap = Math.min(Math.abs(value), Math.abs(1 - value)) * 100;
    int needed = gap == 0 ? 0 : (int) Math.ceil(-Math.log10(gap)) + 1;
    return fixed(value * 100, Math.clamp(needed, decimals, 12)) + " %";
  }

  /// A limit, or a dash where there is none.
  static String limit(OptionalDouble limit, DoubleFunction<String> text) {
    return limit.isPresent() ? text.apply(limit.getAsDouble()) : "–";
  }

  static String decibel(double value) {
    return decibel(value, 1);
  }

  private static String decibel(double value, int decimals) {
    return Double.isFinite(value) ? fixed(value, decimals) + " dB" : significant(value, 1);
  }

  static String fixed(double value, int decimals) {
    return Double.isFinite(value)
        ? new BigDecimal(value).setScale(decimals, RoundingMode.HALF_EVEN).toPlainString()
        : significant(value, 1);
  }

  /// `4,096`.
  static String count(long value) {
    return String.format(Locale.ROOT, "%,d", value);
  }

  /// In powers of 1000: `688.6 GB`.
  static String bytes(long value) {
    double left = value;
    int unit = 0;
    while (Math.abs(left) >= 1000 && unit < BYTES.length - 1) {
      left /= 1000;
      unit++;
    }
    return (unit == 0 ? String.valueOf(value) : fixed(left, 1)) + " " + BYTES[unit];
  }

  /// A value of a metric, with its unit.
  ///
  /// @param detail 0 for reading; each step more shows one digit more
  static String of(Metric metric, double value, int detail) {
    return switch (metric) {
      case MEAN_KL, KL_999 ->
          significant(value, 3 + detail) + (Double.isFinite(value) ? " nats" : "");
      case SAME_TOP, ROUTED_MASS, BIT_EXACT -> share(value, 2 + detail);
      case PPL_RATIO -> fixed(value, 4 + detail);
      case WEIGHT_SQNR, LAYER_SQNR -> decibel(value, 1 + detail);
      case NON_FINITE, MODEL_CHANGES ->
          Double.isFinite(value) ? count((long) value) : significant(value, 1);
    };
  }
}
