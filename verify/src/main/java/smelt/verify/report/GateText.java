package smelt.verify.report;

import smelt.verify.quality.Gate;
import smelt.verify.quality.Look;
import smelt.verify.quality.Metric;

/// A gate in words. `held` is what the bound is held against: the confidence limit, or the value
/// where it is exact.
final class GateText {

  private GateText() {}

  static double held(Gate gate) {
    return gate.limit().orElse(gate.value());
  }

  /// What the metric tells, in one line.
  static String explain(Metric metric) {
    return switch (metric) {
      case MEAN_KL ->
          "How far the next-token distributions lie apart on average. 0 means identical.";
      case KL_999 ->
          "The same for the worst token in a thousand: an average hides rare, large damage.";
      case SAME_TOP -> "How often both models would choose the same next token.";
      case PPL_RATIO ->
          "How much more the text surprises the result than the original. 1 means no change.";
      case WEIGHT_SQNR ->
          "Signal to error of the worst quantized weight. 6 dB more halve the error.";
      case LAYER_SQNR ->
          "Signal to error of what the worst layer adds, given the same input and experts.";
      case ROUTED_MASS ->
          "How much routing weight still goes to the same experts, in the worst layer.";
      case BIT_EXACT -> "How many weights decode to exactly the original's bits.";
      case NON_FINITE -> "Numbers in the result that are NaN or infinite. One is too many.";
      case MODEL_CHANGES ->
          "Changes of config, tokenizer or list of weights that no target makes. One is too many.";
    };
  }

  /// `at most 0.02 nats`.
  static String bound(Gate gate) {
    return side(gate) + " " + Figures.of(gate.metric(), gate.bound(), detail(gate));
  }

  static String side(Gate gate) {
    return switch (gate.metric().side()) {
      case AT_MOST -> "at most";
      case AT_LEAST -> "at least";
    };
  }

  static String value(Gate gate) {
    return Figures.of(gate.metric(), gate.value(), detail(gate));
  }

  /// The confidence limit, or `exact`.
  static String limit(Gate gate) {
    return gate.limit().isPresent()
        ? Figures.of(gate.metric(), gate.limit().getAsDouble(), detail(gate))
        : gate.metric().isSampled() && gate.outcome() == Gate.Outcome.FAIL ? "none" : "exact";
  }

  static String outcome(Gate gate) {
    return switch (gate.outcome()) {
      case PASS -> "pass";
      case FAIL -> "fail";
      case SKIPPED -> "not measured";
    };
  }

  /// `mean KLD: 0.0341 nats (95 % limit), bound: at most 0.02 nats`.
  static String sentence(Gate gate, Look look) {
    String what = gate.limit().isPresent() ? " (" + look.level() + " limit)" : "";
    return gate.metric().title()
        + " is "
        + Figures.of(gate.metric(), held(gate), detail(gate))
        + what
        + ", the bound is "
        + bound(gate);
  }

  /// How much of what the bound allows is used up: 1 at the bound. NaN for bounds that allow
  /// nothing.
  static double used(Gate gate) {
    double held = held(gate);
    return switch (gate.metric()) {
      case MEAN_KL, KL_999, NON_FINITE, MODEL_CHANGES ->
          gate.bound() > 0 ? held / gate.bound() : Double.NaN;
      case PPL_RATIO -> gate.bound() > 1 ? (held - 1) / (gate.bound() - 1) : Double.NaN;
      case SAME_TOP, ROUTED_MASS, BIT_EXACT ->
          gate.bound() < 1 ? (1 - held) / (1 - gate.bound()) : Double.NaN;
      case WEIGHT_SQNR, LAYER_SQNR -> held > 0 ? gate.bound() / held : Double.NaN;
    };
  }

  /// Digits enough to tell what is held from the bound.
  private static int detail(Gate gate) {
    int detail = 0;
    while (detail < 10
        && held(gate) != gate.bound()
        && Figures.of(gate.metric(), held(gate), detail)
            .equals(Figures.of(gate.metric(), gate.bound(), detail))) {
      detail++;
    }
    return detail;
  }
}
