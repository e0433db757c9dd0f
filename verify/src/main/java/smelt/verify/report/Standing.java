package smelt.verify.report;

import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import smelt.verify.quality.Gate;
import smelt.verify.quality.Verdict;

/// How a verdict reads: what is not measured is no pass, and neither is a verdict without bounds.
enum Standing {
  PASS,
  FAIL,
  INCOMPLETE;

  private static final int NAMED = 3;

  static Standing of(Verdict verdict) {
    if (count(verdict, Gate.Outcome.FAIL) > 0) {
      return FAIL;
    }
    return verdict.passed() && !verdict.gates().isEmpty() ? PASS : INCOMPLETE;
  }

  String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /// One sentence: why.
  static String why(Verdict verdict) {
    List<Gate> gates = verdict.gates();
    if (gates.isEmpty()) {
      return "No bounds were set, so nothing is proven.";
    }
    String of = " of " + gates.size() + (gates.size() == 1 ? " bound" : " bounds");
    return switch (of(verdict)) {
      case PASS ->
          (gates.size() == 1 ? "The bound of " : "All " + gates.size() + " bounds of ")
              + verdict.profile()
              + (gates.size() == 1 ? " holds." : " hold.")
              + closest(verdict);
      case FAIL -> {
        List<Gate> failed = with(gates, Gate.Outcome.FAIL);
        yield failed.size()
            + of
            + " of "
            + verdict.profile()
            + (failed.size() == 1 ? " fails: " : " fail: ")
            + joined(failed.stream().map(gate -> GateText.sentence(gate, verdict.look())).toList())
            + ".";
      }
      case INCOMPLETE -> {
        List<Gate> open = with(gates, Gate.Outcome.SKIPPED);
        yield "No bound of "
            + verdict.profile()
            + " fails, but "
            + open.size()
            + of
            + (open.size() == 1 ? " was" : " were")
            + " not measured: "
            + joined(open.stream().map(gate -> gate.metric().title()).toList())
            + ".";
      }
    };
  }

  static long count(Verdict verdict, Gate.Outcome outcome) {
    return with(verdict.gates(), outcome).size();
  }

  private static List<Gate> with(List<Gate> gates, Gate.Outcome outcome) {
    return gates.stream().filter(gate -> gate.outcome() == outcome).toList();
  }

  private static String closest(Verdict verdict) {
    return verdict.gates().stream()
        .filter(gate -> GateText.used(gate) > 0)
        .max(Comparator.comparingDouble(GateText::used))
        .map(gate -> " The closest: " + GateText.sentence(gate, verdict.look()) + ".")
        .orElse("");
  }

  private static String joined(List<String> parts) {
    String first = parts.stream().limit(NAMED).collect(Collectors.joining("; "));
    return parts.size() > NAMED ? first + "; and " + (parts.size() - NAMED) + " more" : first;
  }
}
