package smelt.verify.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import smelt.verify.quality.TensorScore;

/// SQNR of the weights as a heat map: a row for each layer, a column for each projection, the worst
/// expert for all experts. More ink is more error; cells hold their figure in dB, `=` where all is
/// bit-exact, `!` where numbers are missing. Cells below the bound have a frame.
final class SqnrMap {

  private static final double LABEL = 46;
  private static final double HEAD = 40;
  private static final double ROW = 16;
  private static final double FIELD = 1110;
  private static final double LETTER = 6.4;

  private final Weights weights;
  private final double bound;
  private final double top;
  private final double step;
  private final boolean differs;

  private SqnrMap(Weights weights, double bound) {
    this.weights = weights;
    this.bound = bound;
    double[] finite =
        weights.layers().values().stream()
            .flatMap(row -> row.values().stream())
            .mapToDouble(cell -> cell.worst().sqnrDb())
            .filter(Double::isFinite)
            .sorted()
            .toArray();
    differs = finite.length > 0;
    double low = finite.length == 0 ? 0 : finite[0];
    double high = finite.length == 0 ? 1 : finite[finite.length - 1];
    step = Math.max(1, Math.ceil((high - low) / (Ramp.STEPS - 1)));
    top = Math.ceil(high / step) * step;
  }

  /// @param bound least SQNR in dB; `-Infinity` where there is none
  static void draw(Markup page, Weights weights, double bound) {
    new SqnrMap(weights, bound).draw(page);
  }

  private void draw(Markup page) {
    double width = LABEL + 4;
    for (Weights.Column column : weights.columns()) {
      width += width(column);
    }
    double height = HEAD + ROW * weights.layers().size() + 2;
    page.open(
        "div", "class", "scroll", "tabindex", "0", "role", "region", "aria-label", "heat map");
    String label =
        "SQNR of the weights in dB, "
            + weights.layers().size()
            + " layers by "
            + weights.columns().size()
            + " projections";
    try (Drawing drawing = Drawing.fixed(page, label, width, height)) {
      heads(drawing);
      double y = HEAD;
      for (Map.Entry<Integer, SortedMap<Weights.Column, Weights.Cell>> row :
          weights.layers().entrySet()) {
        String layer = String.valueOf(row.getKey());
        drawing.text("tick", LABEL - 8, y + 12, Drawing.Anchor.END, layer);
        row(drawing, row.getKey(), row.getValue(), y);
        y += ROW;
      }
    }
    page.close().line();
    key(page);
  }

  private void heads(Drawing drawing) {
    drawing.text("tick", LABEL - 8, HEAD - 7, Drawing.Anchor.END, "layer");
    double x = LABEL;
    double groupStart = x;
    String group = "";
    List<Weights.Column> columns = new ArrayList<>(weights.columns());
    for (int i = 0; i < columns.size(); i++) {
      Weights.Column column = columns.get(i);
      if (i == 0 || !column.group().equals(group)) {
        group = column.group();
        groupStart = x;
      }
      double end = x + width(column);
      drawing.text("tick", (x + end) / 2, HEAD - 7, Drawing.Anchor.MIDDLE, column.leaf());
      boolean last = i == columns.size() - 1 || !columns.get(i + 1).group().equals(group);
      if (last && !group.isEmpty()) {
        drawing.text("group", (groupStart + end) / 2, 13, Drawing.Anchor.MIDDLE, group);
        drawing.line("notch", groupStart + 3, 18.5, end - 4, 18.5);
      }
      x = end;
    }
  }

  private void row(
      Drawing drawing, int layer, SortedMap<Weights.Column, Weights.Cell> cells, double y) {
    double x = LABEL;
    for (Weights.Column column : weights.columns()) {
      Weights.Cell cell = cells.get(column);
      double width = width(column);
      if (cell != null) {
        int ink = ink(cell);
        String frame = cell.worst().sqnrDb() >= bound && cell.nonFinite() == 0 ? "" : " below";
        String kind = (ink < 0 ? "exact" : "r" + ink) + frame;
        drawing.rect(kind, x + 0.5, y + 0.5, width - 1.5, ROW - 1.5, tip(layer, column, cell));
        drawing.text("in i" + ink, x + width / 2, y + 12, Drawing.Anchor.MIDDLE, mark(cell));
      }
      x += width;
    }
  }

  private void key(Markup page) {
    List<String> names = new ArrayList<>();
    for (int i = 0; i < Ramp.STEPS; i++) {
      double low = top - (i + 1) * step;
      names.add((i == Ramp.STEPS - 1 ? "less" : "≥ " + Figures.fixed(low, 0)));
    }
    page.open("p", "class", "legend");
    if (differs) {
      Ramp.key(page.text("Worst weight of each cell, dB: "), "steps in dB", names);
    }
    String framed =
        Double.isInfinite(bound)
            ? ""
            : " A frame: below the bound of " + Figures.decibel(bound) + ".";
    page.text(" = is bit-exact, ∞ has equal values, ! has NaN or infinities." + framed);
    for (Map.Entry<String, Weights.Cell> role : weights.outside().entrySet()) {
      page.text(" Outside the layers: " + role.getKey() + " ");
      String figure = mark(role.getValue());
      page.element("b", figure.equals("=") ? "bit-exact" : figure + " dB").text(".");
    }
    page.close().line();
  }

  /// -1 where nothing differs.
  private int ink(Weights.Cell cell) {
    double value = cell.worst().sqnrDb();
    if (value == Double.POSITIVE_INFINITY) {
      return -1;
    }
    double below = Double.isNaN(value) ? Ramp.STEPS : (top - value) / step;
    return Math.clamp((long) below, 0, Ramp.STEPS - 1);
  }

  private static String mark(Weights.Cell cell) {
    double value = cell.worst().sqnrDb();
    if (cell.nonFinite() > 0 || Double.isNaN(value)) {
      return "!";
    }
    return cell.exact() == cell.weights() ? "=" : Figures.fixed(value, 0);
  }

  private static String tip(int layer, Weights.Column column, Weights.Cell cell) {
    TensorScore worst = cell.worst();
    String what = column.group().isEmpty() ? column.leaf() : column.group() + " " + column.leaf();
    String many = cell.weights() > 1 ? ", worst of " + Figures.count(cell.weights()) : "";
    return "layer "
        + layer
        + ", "
        + what
        + ": "
        + (worst.bitExact() ? "bit-exact" : Figures.decibel(worst.sqnrDb()))
        + many
        + "\n"
        + Escape.clip(worst.tensor(), 160);
  }

  private double width(Weights.Column column) {
    double even = Math.clamp(FIELD / weights.columns().size(), 36, 62);
    return Math.max(even, column.leaf().length() * LETTER + 6);
  }
}
