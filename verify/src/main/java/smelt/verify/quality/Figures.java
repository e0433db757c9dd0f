package smelt.verify.quality;

import java.util.Locale;

/// Numbers as sentences have them.
final class Figures {

  private Figures() {}

  /// Two digits and an exponent, such as `4.1e-3`.
  static String small(double value) {
    return String.format(Locale.ROOT, "%.1e", value).replaceAll("e([+-])0(\\d)", "e$1$2");
  }

  /// A whole number with its thousands apart.
  static String count(long value) {
    return String.format(Locale.ROOT, "%,d", value);
  }

  static String oneDigit(double value) {
    return String.format(Locale.ROOT, "%.1f", value);
  }
}
