package smelt.converter.cli;

import java.math.BigDecimal;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine;
import smelt.calibrate.cost.Rates;
import smelt.converter.DidYouMean;
import smelt.converter.plan.Estimate;

/// `--assume disk=3GB/s,compute=4TFLOPS`: what a machine does, for the times of a plan. Prefixes
/// are powers of 1000; with an `i`, as in `GiB/s`, powers of 1024.
///
/// @param read bytes in a second; empty: to be measured
/// @param write bytes in a second; empty: as reading
/// @param flops operations in a second; empty: to be measured
record Assumed(
    OptionalDouble read, OptionalDouble write, OptionalDouble flops, Estimate.Text text) {

  private static final String MEASURE = "measure";
  private static final List<String> KEYS =
      List.of("disk", "write", "compute", "tokens", "sequence", "moments", MEASURE);
  private static final Pattern NUMBER =
      Pattern.compile("([0-9]{1,12}(?:\\.[0-9]{1,9})?) ?([kKmMgGtTpPeE]?)(i?)(.*)");
  private static final String PREFIXES = "KMGTPE";
  private static final long DEFAULT_TOKENS = 32_768;
  private static final int DEFAULT_LENGTH = 2048;
  private static final long MOST_TOKENS = 1L << 40;

  /// Whether rates are to be measured.
  boolean isMeasured() {
    return read.isEmpty() || flops.isEmpty();
  }

  /// The rates, where some were measured.
  Rates rates(double measuredRead, double measuredFlops) {
    double reading = read.orElse(measuredRead);
    return new Rates(reading, write.orElse(reading), flops.orElse(measuredFlops));
  }

  /// Reads the option's value.
  static final class Converter implements CommandLine.ITypeConverter<Assumed> {
    @Override
    public Assumed convert(String text) {
      return new Parser(text).parse();
    }
  }

  private static final class Parser {
    private final String text;
    private boolean measured;
    private OptionalDouble read = OptionalDouble.empty();
    private OptionalDouble write = OptionalDouble.empty();
    private OptionalDouble flops = OptionalDouble.empty();
    private long tokens = DEFAULT_TOKENS;
    private int length = DEFAULT_LENGTH;
    private boolean moments;

    Parser(String text) {
      this.text = text;
    }

    Assumed parse() {
      Set<String> seen = new HashSet<>();
      for (String entry : text.split(",", -1)) {
        String key = entry.split("=", 2)[0].strip();
        if (!seen.add(key)) {
          throw wrong("'" + key + "' twice", "each once");
        }
        take(key, entry);
      }
      requireRates();
      Estimate.Text run = new Estimate.Text(tokens, (int) Math.min(length, tokens), moments);
      return new Assumed(read, write, flops, run);
    }

    private void take(String key, String entry) {
      if (key.equals(MEASURE) || key.equals("moments")) {
        if (entry.contains("=")) {
          throw wrong("'" + entry + "'", "'" + key + "' alone");
        }
        measured |= key.equals(MEASURE);
        moments |= key.equals("moments");
        return;
      }
      if (!KEYS.contains(key)) {
        String known = "one of " + String.join(", ", KEYS);
        throw wrong("'" + key + "'", DidYouMean.remedy(key, KEYS, known));
      }
      if (!entry.contains("=")) {
        throw wrong("'" + key + "' without a value", key + "=" + example(key));
      }
      value(key, entry.split("=", 2)[1].strip());
    }

    private void value(String key, String value) {
      switch (key) {
        case "disk" -> read = rate(key, value, "B/s");
        case "write" -> write = rate(key, value, "B/s");
        case "compute" -> flops = rate(key, value, "FLOPS", "FLOP/s");
        case "tokens" -> tokens = count(key, value, MOST_TOKENS);
        default -> length = (int) count(key, value, 1 << 24);
      }
    }

    private OptionalDouble rate(String key, String value, String... units) {
      Matcher form = NUMBER.matcher(value);
      Optional<Double> found = Optional.empty();
      if (form.matches() && (form.group(3).isEmpty() || !form.group(2).isEmpty())) {
        for (String unit : units) {
          if (form.group(4).equalsIgnoreCase(unit)) {
            found = Optional.of(number(form));
          }
        }
      }
      return OptionalDouble.of(
          found
              .filter(rate -> rate > 0)
              .orElseThrow(() -> wrong(key + "=" + value, key + "=" + example(key))));
    }

    private static double number(Matcher form) {
      String prefix = form.group(2).toUpperCase(Locale.ROOT);
      int power = prefix.isEmpty() ? 0 : PREFIXES.indexOf(prefix) + 1;
      double base = form.group(3).isEmpty() ? 1000 : 1024;
      return new BigDecimal(form.group(1)).doubleValue() * Math.pow(base, power);
    }

    private long count(String key, String value, long most) {
      if (value.matches("[0-9]{1,15}")) {
        long count = Long.parseLong(value);
        if (count >= 1 && count <= most) {
          return count;
        }
      }
      throw wrong(key + "=" + value, "a whole number from 1 to " + most);
    }

    private void requireRates() {
      if (measured && read.isPresent() && flops.isPresent()) {
        throw wrong("measure beside disk and compute", "one or the other");
      }
      if (!measured && (read.isEmpty() || flops.isEmpty())) {
        String missing = read.isEmpty() ? "disk" : "compute";
        throw wrong("no " + missing, missing + "=" + example(missing) + ", or measure");
      }
    }

    private static String example(String key) {
      return switch (key) {
        case "disk" -> "3GB/s";
        case "write" -> "1GB/s";
        case "compute" -> "4TFLOPS";
        case "tokens" -> "32768";
        default -> "2048";
      };
    }

    private CommandLine.TypeConversionException wrong(String found, String expected) {
      return new CommandLine.TypeConversionException(
          "'" + text + "': found " + found + ", expected " + expected);
    }
  }
}
