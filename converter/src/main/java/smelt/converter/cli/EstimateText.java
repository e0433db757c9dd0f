package smelt.converter.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import smelt.calibrate.cost.CostModel;
import smelt.calibrate.cost.Effort;
import smelt.calibrate.cost.Rates;
import smelt.converter.ByteSize;
import smelt.converter.plan.Estimate;

/// What a plan costs, for people.
final class EstimateText {

  private EstimateText() {}

  static List<String> lines(Estimate estimate) {
    List<String> lines = new ArrayList<>();
    Rates rates = estimate.rates();
    Estimate.Text text = estimate.text();
    CostModel cost = estimate.cost();
    lines.add(
        line(
            "assumed  reading %s, writing %s, computing %s; %,d tokens in sequences of %,d%s",
            bytes(rates.read()),
            bytes(rates.write()),
            flops(rates.flops()) + "/s",
            text.tokens(),
            text.length(),
            text.moments() ? ", with second moments" : ""));
    StringBuilder parts = new StringBuilder();
    for (CostModel.Part part : cost.parts()) {
      if (part.flops() > 0) {
        parts.append(parts.isEmpty() ? "" : ", ");
        parts.append(part.name()).append(' ').append(flops((double) part.flops()));
      }
    }
    lines.add(line("  a token    %s: %s", flops((double) cost.products()), parts));
    lines.add(line("  scores     %s more for a token", flops(cost.scoresPerToken(text.length()))));
    if (text.moments()) {
      lines.add(
          line(
              "  moments    %s more for a token, and %s to solve",
              flops((double) cost.hessians()), flops((double) cost.solving())));
    }
    lines.add(
        line(
            "  crossover  %,.0f tokens (%,.0f with scores): of more, computing takes longer than"
                + " reading %s once",
            estimate.crossover(),
            estimate.crossoverWithScores(),
            ByteSize.format(estimate.layerBytes())));
    lines.add(
        line(
            "  %-10s %12s %12s %12s %12s %12s  %s",
            "", "reading", "writing", "computing", "in turn", "at once", "memory"));
    estimate.jobs().forEach(job -> lines.add(row(job, rates)));
    return lines;
  }

  private static String row(Estimate.Job job, Rates rates) {
    Effort effort = job.effort();
    return line(
        "  %-10s %12s %12s %12s %12s %12s  %s",
        job.name(),
        time(effort.readSeconds(rates)),
        time(effort.writeSeconds(rates)),
        time(effort.computeSeconds(rates)),
        time(effort.inTurn(rates)),
        time(effort.together(rates)),
        job.memory() == 0 ? "as above" : ByteSize.format(job.memory()));
  }

  /// `0.3 s`, `42 s`, `20 min 12 s`, `5 h 03 min`.
  static String time(double seconds) {
    if (seconds == 0) {
      return "-";
    }
    if (seconds < 10) {
      return line("%.2f s", seconds);
    }
    long whole = Math.round(seconds);
    if (whole < 60) {
      return whole + " s";
    }
    return whole < 3600
        ? line("%d min %02d s", whole / 60, whole % 60)
        : line("%d h %02d min", whole / 3600, whole % 3600 / 60);
  }

  private static String bytes(double perSecond) {
    return scaled(perSecond, "B") + "/s";
  }

  private static String flops(double count) {
    return scaled(count, "FLOP");
  }

  private static String scaled(double value, String unit) {
    String prefixes = " kMGTPE";
    int power = 0;
    double left = value;
    while (left >= 1000 && power + 1 < prefixes.length()) {
      left /= 1000;
      power++;
    }
    String prefix = power == 0 ? "" : prefixes.substring(power, power + 1);
    String number = left == Math.rint(left) ? line("%.0f", left) : line("%.1f", left);
    return number + " " + prefix + unit;
  }

  private static String line(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
