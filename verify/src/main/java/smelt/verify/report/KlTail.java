package smelt.verify.report;

import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;

/// The tail of KL divergence: which share of the tokens exceeds a value, both axes logarithmic. The
/// bound on the 99.9 % percentile is a corner that the curve must pass on the left.
final class KlTail {

  private static final int POINTS = 160;
  private static final double RARE = 0.001;

  private KlTail() {}

  static void draw(Markup page, double[] free, double[] forced, OptionalDouble bound) {
    double[] first = sorted(free);
    double[] second = sorted(forced);
    Axis x = KlHistogram.axis(List.of(free, forced), bound);
    double rarest = Math.min(RARE, 1.0 / Math.max(1, first.length));
    Axis y = Plot.up(Math.pow(10, Math.floor(Math.log10(rarest) + 1e-9)), 1, true);
    String label = "Share of tokens whose KL divergence exceeds a value, logarithmic axes";
    String title = "KL divergence of a token, nats";
    try (Drawing drawing = Plot.frame(page, label, x, y, title, "share above")) {
      bound.ifPresent(at -> {
        double edge = x.at(at);
        double rare = y.at(RARE);
        drawing.rect("forbidden", edge, Plot.TOP, Plot.RIGHT - edge, rare - Plot.TOP);
        drawing.line("bound", edge, Plot.TOP, edge, rare);
        drawing.line("bound", edge, rare, Plot.RIGHT, rare);
        boolean left = edge > Plot.RIGHT - 110;
        drawing.text(
            "boundname",
            edge + (left ? -5 : 5),
            Plot.TOP + 12,
            left ? Drawing.Anchor.END : Drawing.Anchor.START,
            "bound of 99.9 %");
      });
      Plot.lines(
          drawing, x, y, List.of(line("routing by itself", first), line("experts forced", second)));
    }
  }

  private static double[] sorted(double[] values) {
    return Arrays.stream(values).filter(Double::isFinite).sorted().toArray();
  }

  /// Ranks are spaced evenly on the logarithmic axis, from all tokens to the last.
  private static Plot.Line line(String name, double[] sorted) {
    int n = sorted.length;
    int points = Math.min(POINTS, n);
    double[] x = new double[points];
    double[] y = new double[points];
    for (int i = 0; i < points; i++) {
      double part = points == 1 ? 0 : 1 - (double) i / (points - 1);
      int above = Math.clamp(Math.round(Math.pow(n, part)), 1, n);
      x[i] = sorted[n - above];
      y[i] = (double) above / n;
    }
    return new Plot.Line(name, x, y);
  }
}
