package smelt.converter.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import smelt.calibrate.allocate.Allocation;
import smelt.calibrate.allocate.Choice;
import smelt.calibrate.allocate.Item;
import smelt.calibrate.allocate.NeverWorse;
import smelt.calibrate.outlier.Outliers;
import smelt.converter.choose.Chooser;

/// What was chosen, for people.
final class ChoiceText {

  private ChoiceText() {}

  static List<String> lines(Chooser.Result result, Outliers outliers) {
    List<String> lines = new ArrayList<>();
    for (Item item : result.items()) {
      Choice choice = result.allocation().schemes().get(item.name());
      lines.add(
          line(
              "%-26s %-12s %,15d bytes  KL %.3e%s",
              item.name(),
              choice.scheme(),
              choice.bytes(),
              choice.error(),
              item.pinned().isPresent() ? "  protected" : ""));
    }
    outliers.weights().forEach(weight -> lines.add(weight.line()));
    outliers.experts().forEach(expert -> lines.add(expert.line()));
    if (outliers.weights().isEmpty() && outliers.experts().isEmpty()) {
      lines.add("no super weights and no super experts in " + outliers.downs() + " down linears");
    }
    lines.addAll(summary(result));
    return lines;
  }

  /// The comparison, and how near the allocation is to the best.
  static List<String> summary(Chooser.Result result) {
    List<String> lines = new ArrayList<>();
    lines.add(row(result.allocated()));
    result.uniform().ifPresent(uniform -> lines.add(row(uniform)));
    Allocation allocation = result.allocation();
    lines.add(
        line(
            "optimality gap %.4f %%: nothing better than %.6g is possible, as predicted",
            100 * allocation.gap(), allocation.bound()));
    lines.add(
        result
            .verdict()
            .map(NeverWorse::reason)
            .orElse("The allocation is kept: no uniform scheme fits."));
    return lines;
  }

  private static String row(Chooser.Candidate candidate) {
    return line(
        "%-26s %,15d bytes  KL predicted %.3e, measured %.3e",
        candidate.name(), candidate.bytes(), candidate.predicted(), candidate.measured());
  }

  private static String line(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
