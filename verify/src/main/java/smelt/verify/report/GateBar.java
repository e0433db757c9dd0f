package smelt.verify.report;

import smelt.verify.quality.Gate;
import smelt.verify.quality.Look;
import smelt.verify.quality.Metric;

/// A gate as a small bar: the value, a whisker to its limit, and the bound as a line beyond which
/// the ground is tinted. What lies far outside ends in an arrow.
final class GateBar {

  private static final double WIDTH = 168;
  private static final double HEIGHT = 24;
  private static final double END = WIDTH - 8;

  private GateBar() {}

  static void draw(Markup page, Gate gate, Look look) {
    String label = GateText.sentence(gate, look);
    try (Drawing drawing = Drawing.fixed(page, label, WIDTH, HEIGHT)) {
      if (gate.outcome() == Gate.Outcome.SKIPPED || Double.isNaN(gate.value())) {
        drawing.rect("track", 0, 8, END, 8);
        return;
      }
      Axis axis = axis(gate);
      boolean atMost = gate.metric().side() == Metric.Side.AT_MOST;
      double bound = axis.at(gate.bound());
      drawing.rect("track", 0, 8, END, 8);
      drawing.rect("beyond", atMost ? bound : 0, 4, atMost ? END - bound : bound, 16);
      double value = Math.max(axis.at(gate.value()), 2);
      drawing.rect("bar " + GateText.outcome(gate), 0, 9, value, 6);
      whisker(drawing, axis, gate);
      drawing.line("boundline", bound, 2, bound, 22);
    }
  }

  private static void whisker(Drawing drawing, Axis axis, Gate gate) {
    double held = GateText.held(gate);
    if (gate.limit().isPresent() && !Double.isNaN(held)) {
      drawing.line("whisker", axis.at(gate.value()), 12, axis.at(held), 12);
      drawing.line("whisker", axis.at(held), 7.5, axis.at(held), 16.5);
    }
    if (held > axis.high() || gate.value() > axis.high()) {
      drawing.path("arrow", "M" + Drawing.number(END + 1) + " 7l6 5l-6 5z");
    }
  }

  private static Axis axis(Gate gate) {
    double held = Double.isNaN(GateText.held(gate)) ? gate.value() : GateText.held(gate);
    double bound = gate.bound();
    return switch (gate.metric()) {
      case MEAN_KL, KL_999, NON_FINITE, MODEL_CHANGES -> zeroTo(bound > 0 ? reach(held, bound) : 1);
      case WEIGHT_SQNR, LAYER_SQNR -> zeroTo(Math.max(reach(held, bound), 1));
      case PPL_RATIO -> {
        double room = Math.max(Math.abs(bound - 1), 1e-6);
        yield new Axis(
            1 - room, 1 + Math.min(Math.max(held - 1, room) * 1.4, 3 * room), false, 0, END);
      }
      case SAME_TOP, ROUTED_MASS, BIT_EXACT -> {
        double room = Math.max(1 - Math.min(bound, Math.min(held, gate.value())), 0.001);
        yield new Axis(Math.max(1 - 1.6 * room, Math.min(0, held)), 1, false, 0, END);
      }
    };
  }

  /// A little more than the larger of both, but no more than three bounds.
  private static double reach(double held, double bound) {
    return Math.min(Math.max(held, bound) * 1.25, Math.abs(bound) * 3);
  }

  private static Axis zeroTo(double high) {
    return new Axis(0, high > 0 ? high : 1, false, 0, END);
  }
}
