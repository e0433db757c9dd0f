package smelt.verify.report;

import java.util.List;

/// The frame of a plot: grid, ticks and titles around the field that the axes span.
final class Plot {

  static final double WIDTH = 480;
  static final double HEIGHT = 288;

  /// Pixels of the field's edges.
  static final double LEFT = 54;

  static final double RIGHT = WIDTH - 12;
  static final double TOP = 34;
  static final double BOTTOM = HEIGHT - 42;

  /// One line of a plot, `NaN` and infinite values left out; at most [#STYLES] of them.
  @SuppressWarnings("ArrayRecordComponent")
  record Line(String name, double[] x, double[] y) {}

  private static final List<String> STYLES = List.of("s1", "s2", "s3");

  private Plot() {}

  static Axis across(double low, double high, boolean log) {
    return new Axis(low, high, log, LEFT, RIGHT);
  }

  static Axis up(double low, double high, boolean log) {
    return new Axis(low, high, log, BOTTOM, TOP);
  }

  static Drawing frame(Markup page, String label, Axis x, Axis y, String xTitle, String yTitle) {
    Drawing drawing = Drawing.fluid(page, label, WIDTH, HEIGHT);
    for (double tick : y.ticks(5)) {
      drawing.line("grid", LEFT, y.at(tick), RIGHT, y.at(tick));
      drawing.text("tick", LEFT - 6, y.at(tick) + 4, Drawing.Anchor.END, y.label(tick));
    }
    int most = x.log() ? 7 : Math.clamp((long) (x.high() - x.low()), 1, 7);
    for (double tick : x.ticks(most)) {
      drawing.line("notch", x.at(tick), BOTTOM, x.at(tick), BOTTOM + 4);
      drawing.text("tick", x.at(tick), BOTTOM + 17, Drawing.Anchor.MIDDLE, x.label(tick));
    }
    drawing.line("axis", LEFT, BOTTOM, RIGHT, BOTTOM);
    drawing.text("title", (LEFT + RIGHT) / 2, HEIGHT - 7, Drawing.Anchor.MIDDLE, xTitle);
    drawing.text("title", LEFT - 46, 14, Drawing.Anchor.START, yTitle);
    return drawing;
  }

  /// Draws lines over the frame and names them at the top right. A line is broken where a value is
  /// not finite; an infinite value is a ring at the upper edge.
  static void lines(Drawing drawing, Axis x, Axis y, List<Line> lines) {
    double keyX = RIGHT;
    for (int i = lines.size() - 1; i >= 0; i--) {
      Line line = lines.get(i);
      String style = STYLES.get(i);
      drawing.path("curve " + style, path(x, y, line));
      for (int p = 0; p < line.x().length; p++) {
        boolean finite = Double.isFinite(line.y()[p]);
        if (line.y()[p] == Double.POSITIVE_INFINITY) {
          drawing.circle("ring " + style, x.at(line.x()[p]), TOP, 2.5, line.name() + ": no error");
        } else if (finite && alone(line.y(), p)) {
          drawing.circle("dot " + style, x.at(line.x()[p]), y.at(line.y()[p]), 2.5, line.name());
        }
      }
      double start = keyX - line.name().length() * 6.6 - 2;
      drawing.text("key", start, 14, Drawing.Anchor.START, line.name());
      drawing.line("curve " + style, start - 24, 10, start - 5, 10);
      keyX = start - 38;
    }
  }

  /// A level that values must not cross, with its name.
  static void level(Drawing drawing, Axis y, double value, String name) {
    drawing.line("bound", LEFT, y.at(value), RIGHT, y.at(value));
    drawing.text("boundname", LEFT + 4, y.at(value) - 5, Drawing.Anchor.START, name);
  }

  private static CharSequence path(Axis x, Axis y, Line line) {
    StringBuilder path = new StringBuilder();
    boolean pen = false;
    for (int i = 0; i < line.x().length; i++) {
      if (Double.isFinite(line.y()[i])) {
        path.append(pen ? 'L' : 'M').append(Drawing.number(x.at(line.x()[i]))).append(' ');
        path.append(Drawing.number(y.at(line.y()[i])));
        pen = true;
      } else {
        pen = false;
      }
    }
    return path.isEmpty() ? "M0 0" : path;
  }

  private static boolean alone(double[] values, int i) {
    return (i == 0 || !Double.isFinite(values[i - 1]))
        && (i == values.length - 1 || !Double.isFinite(values[i + 1]));
  }
}
