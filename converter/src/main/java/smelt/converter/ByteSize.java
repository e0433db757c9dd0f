package smelt.converter;

import java.util.Locale;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Sizes as people write them: `4GiB`, `512M`, `1073741824`. All units are powers of 1024.
public final class ByteSize {

  /// What [#parse] takes, for messages.
  public static final String EXPECTED =
      "a whole number of bytes, or one with K, M, G, T, KiB, MiB, GiB or TiB (powers of 1024)";

  private static final Pattern FORM = Pattern.compile("([0-9]{1,19}) ?(?:([KMGT])(?:iB)?)?");
  private static final String UNITS = "KMGT";

  private ByteSize() {}

  /// The size in bytes; empty when the text is no size, or one that does not fit a long.
  public static OptionalLong parse(String text) {
    Matcher form = FORM.matcher(text);
    if (!form.matches()) {
      return OptionalLong.empty();
    }
    try {
      long number = Long.parseLong(form.group(1));
      int power = form.group(2) == null ? 0 : UNITS.indexOf(form.group(2)) + 1;
      return OptionalLong.of(Math.multiplyExact(number, 1L << (10 * power)));
    } catch (NumberFormatException | ArithmeticException _) {
      return OptionalLong.empty();
    }
  }

  /// The size for people: `641.29 GiB`, `512 MiB`, `17 B`.
  public static String format(long bytes) {
    int power = 0;
    while (power < UNITS.length() && bytes >> (10 * (power + 1)) != 0) {
      power++;
    }
    if (power == 0) {
      return bytes + " B";
    }
    long unit = 1L << (10 * power);
    String number =
        bytes % unit == 0
            ? Long.toString(bytes / unit)
            : String.format(Locale.ROOT, "%.2f", (double) bytes / unit);
    return number + " " + UNITS.charAt(power - 1) + "iB";
  }
}
