package smelt.verify.report;

import java.util.List;
import java.util.OptionalDouble;
import java.util.stream.DoubleStream;

/// How KL divergence per token is spread, on a logarithmic axis: filled for each path routing by
/// itself, a line for the source's experts forced. What lies below the axis is in its first bar.
final class KlHistogram {

  private static final int PER_DECADE = 5;

  /// The least KL that is drawn apart from zero.
  static final double FLOOR = 1e-10;

  private KlHistogram() {}

  /// @param bound of the mean
  static void draw(Markup page, double[] free, double[] forced, double mean, OptionalDouble bound) {
    Axis x = axis(List.of(free, forced), bound);
    int bins = (int) Math.round(Math.log10(x.high() / x.low())) * PER_DECADE;
    long[] filled = bins(free, x, bins);
    long[] outlined = bins(forced, x, bins);
    long most = Math.max(1, Math.max(max(filled), max(outlined)));
    Axis y = Plot.up(0, (double) most * 1.18, false);
    String label = "Histogram of KL divergence per token, logarithmic axis";
    String title = "KL divergence of a token, nats";
    try (Drawing drawing = Plot.frame(page, label, x, y, title, "tokens")) {
      double width = (Plot.RIGHT - Plot.LEFT) / bins;
      for (int i = 0; i < bins; i++) {
        double top = y.at((double) filled[i]);
        double left = Plot.LEFT + i * width;
        if (filled[i] > 0) {
          String tip = Figures.count(filled[i]) + " tokens" + (i == 0 ? " here or lower" : "");
          drawing.rect("fill1", left + 0.5, top, width - 1, Plot.BOTTOM - top, tip);
        }
      }
      drawing.path("curve s2", steps(outlined, y, width));
      mark(drawing, x, mean, "name", "whisker", "mean", Plot.TOP + 8);
      bound.ifPresent(
          at -> mark(drawing, x, at, "boundname", "bound", "bound of the mean", Plot.TOP + 22));
      key(drawing);
    }
  }

  /// Whole decades that hold all that can be drawn, at least three.
  static Axis axis(List<double[]> columns, OptionalDouble bound) {
    double[] sorted =
        columns.stream()
            .flatMapToDouble(DoubleStream::of)
            .filter(Double::isFinite)
            .map(value -> Math.max(value, FLOOR))
            .sorted()
            .toArray();
    double low = sorted.length == 0 ? FLOOR : sorted[sorted.length / 500];
    double high =
        Math.max(sorted.length == 0 ? 1 : sorted[sorted.length - 1], bound.orElse(0) * 1.5);
    double first = Math.floor(Math.log10(low) + 1e-9);
    double last = Math.max(Math.ceil(Math.log10(high)), first + 3);
    return Plot.across(Math.pow(10, first), Math.pow(10, last), true);
  }

  private static long[] bins(double[] values, Axis x, int bins) {
    long[] counts = new long[bins];
    for (double value : values) {
      if (Double.isFinite(value)) {
        double part = (x.at(Math.max(value, x.low())) - x.from()) / (x.to() - x.from());
        counts[Math.clamp((long) (part * bins), 0, bins - 1)]++;
      }
    }
    return counts;
  }

  private static CharSequence steps(long[] counts, Axis y, double width) {
    StringBuilder path = new StringBuilder("M" + Drawing.number(Plot.LEFT));
    path.append(' ').append(Drawing.number(y.at((double) counts[0])));
    for (int i = 0; i < counts.length; i++) {
      path.append('V').append(Drawing.number(y.at((double) counts[i])));
      path.append('H').append(Drawing.number(Plot.LEFT + (i + 1) * width));
    }
    return path.append('V').append(Drawing.number(Plot.BOTTOM));
  }

  private static void mark(
      Drawing drawing, Axis x, double value, String text, String line, String name, double y) {
    if (Double.isFinite(value)) {
      double at = x.at(value);
      drawing.line(line, at, Plot.TOP, at, Plot.BOTTOM);
      boolean left = at > (Plot.LEFT + Plot.RIGHT) / 2;
      Drawing.Anchor anchor = left ? Drawing.Anchor.END : Drawing.Anchor.START;
      drawing.text(text, at + (left ? -5 : 5), y, anchor, name);
    }
  }

  private static void key(Drawing drawing) {
    drawing.rect("fill1", Plot.RIGHT - 248, 5, 18, 10);
    drawing.text("key", Plot.RIGHT - 225, 14, Drawing.Anchor.START, "routing by itself");
    drawing.line("curve s2", Plot.RIGHT - 112, 10, Plot.RIGHT - 94, 10);
    drawing.text("key", Plot.RIGHT - 89, 14, Drawing.Anchor.START, "experts forced");
  }

  private static long max(long[] counts) {
    return java.util.Arrays.stream(counts).max().orElse(0);
  }
}
