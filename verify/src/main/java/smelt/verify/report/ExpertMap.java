package smelt.verify.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import smelt.verify.quality.ExpertUse;

/// How often each routed expert was chosen, as a heat map: a row for each layer, a column for each
/// expert, ink by the logarithm of its tokens. Experts that were never chosen are hollow frames.
/// One path holds all cells of a colour, so that 58 layers of 256 experts stay small.
final class ExpertMap {

  private static final double LABEL = 40;
  private static final double HEAD = 22;
  private static final double FIELD = 1024;
  private static final double MARGIN = 100;

  private final SortedMap<Integer, long[]> layers = new TreeMap<>();
  private final int experts;
  private final long most;
  private final double width;
  private final double height;

  private ExpertMap(List<ExpertUse> uses) {
    experts = uses.stream().mapToInt(ExpertUse::expert).max().orElse(0) + 1;
    for (ExpertUse use : uses) {
      layers.computeIfAbsent(use.layer(), _ -> new long[experts])[use.expert()] += use.tokens();
    }
    most = Math.max(1, uses.stream().mapToLong(ExpertUse::tokens).max().orElse(0));
    width = Math.clamp(Math.floor(FIELD / experts), 2, 30);
    height = Math.clamp(Math.floor(520.0 / layers.size()), 8, 20);
  }

  static void draw(Markup page, List<ExpertUse> uses) {
    new ExpertMap(uses).draw(page);
  }

  private void draw(Markup page) {
    long dead = layers.values().stream().mapToLong(ExpertMap::dead).sum();
    String label =
        "Tokens per expert, %d layers by %d experts; %d experts were never chosen"
            .formatted(layers.size(), experts, dead);
    page.open(
        "div", "class", "scroll", "tabindex", "0", "role", "region", "aria-label", "heat map");
    double bottom = HEAD + height * layers.size() + 2;
    try (Drawing drawing = Drawing.fixed(page, label, LABEL + width * experts + MARGIN, bottom)) {
      heads(drawing);
      cells(drawing);
      double y = HEAD;
      for (Map.Entry<Integer, long[]> layer : layers.entrySet()) {
        row(drawing, layer.getKey(), layer.getValue(), y);
        y += height;
      }
    }
    page.close().line().open("p", "class", "legend").text("Tokens sent to an expert: ");
    Ramp.key(page, "steps in tokens", names());
    page.text(" A hollow frame: never chosen (" + Figures.count(dead) + " of ");
    page.text(Figures.count((long) experts * layers.size()) + "). Busiest: the fullest expert's ");
    page.text("tokens, as a multiple of an even spread.").close().line();
  }

  private void heads(Drawing drawing) {
    drawing.text("tick", LABEL - 8, HEAD - 7, Drawing.Anchor.END, "layer");
    int stride = Math.max(1, (int) Axis.step(36 / width));
    for (int expert = 0; expert < experts; expert += stride) {
      double x = LABEL + (expert + 0.5) * width;
      drawing.text("tick", x, HEAD - 7, Drawing.Anchor.MIDDLE, String.valueOf(expert));
    }
    double x = LABEL + width * experts;
    drawing.text("tick", x + 44, HEAD - 7, Drawing.Anchor.END, "never");
    drawing.text("tick", x + 98, HEAD - 7, Drawing.Anchor.END, "busiest");
  }

  private void cells(Drawing drawing) {
    List<StringBuilder> paths = new ArrayList<>();
    for (int i = 0; i <= Ramp.STEPS; i++) {
      paths.add(new StringBuilder());
    }
    double gap = width > 6 ? 1 : 0.5;
    String size =
        "h"
            + Drawing.number(width - gap)
            + "v"
            + Drawing.number(height - 1)
            + "h"
            + Drawing.number(gap - width)
            + "z";
    String hollow =
        "h"
            + Drawing.number(width - gap - 1)
            + "v"
            + Drawing.number(height - 2)
            + "h"
            + Drawing.number(gap + 1 - width)
            + "z";
    double y = HEAD;
    for (long[] tokens : layers.values()) {
      for (int expert = 0; expert < experts; expert++) {
        boolean dead = tokens[expert] == 0;
        double in = dead ? 0.5 : 0;
        paths
            .get(dead ? Ramp.STEPS : ink(tokens[expert]))
            .append('M')
            .append(Drawing.number(LABEL + expert * width + in))
            .append(' ')
            .append(Drawing.number(y + in))
            .append(dead ? hollow : size);
      }
      y += height;
    }
    for (int i = 0; i <= Ramp.STEPS; i++) {
      if (!paths.get(i).isEmpty()) {
        drawing.path(i == Ramp.STEPS ? "dead" : "r" + i, paths.get(i));
      }
    }
  }

  private void row(Drawing drawing, int layer, long[] tokens, double y) {
    double base = y + height / 2 + 4;
    if (height >= 12 || layer % 2 == 0) {
      drawing.text("tick", LABEL - 8, base, Drawing.Anchor.END, String.valueOf(layer));
    }
    long sum = java.util.Arrays.stream(tokens).sum();
    int busiest = 0;
    for (int expert = 1; expert < experts; expert++) {
      busiest = tokens[expert] > tokens[busiest] ? expert : busiest;
    }
    double spread = sum == 0 ? 0 : (double) tokens[busiest] * experts / sum;
    double x = LABEL + width * experts;
    long dead = dead(tokens);
    if (height >= 12 || layer % 2 == 0) {
      drawing.text("tick", x + 44, base, Drawing.Anchor.END, dead == 0 ? "·" : "" + dead);
      drawing.text("tick", x + 98, base, Drawing.Anchor.END, Figures.fixed(spread, 1) + "×");
    }
    String tip =
        "layer %d: %s of %d experts never chosen; busiest is expert %d with %s tokens"
            .formatted(layer, dead, experts, busiest, Figures.count(tokens[busiest]));
    drawing.rect("touch", 0, y, x + MARGIN, height, tip);
  }

  private static long dead(long[] tokens) {
    return java.util.Arrays.stream(tokens).filter(count -> count == 0).count();
  }

  private int ink(long tokens) {
    double part = most == 1 ? 1 : Math.log((double) tokens) / Math.log((double) most);
    return Math.clamp((long) (part * Ramp.STEPS), 0, Ramp.STEPS - 1);
  }

  private List<String> names() {
    List<String> names = new ArrayList<>();
    for (int i = 0; i < Ramp.STEPS; i++) {
      long least = (long) Math.ceil(Math.pow((double) most, (double) i / Ramp.STEPS) - 1e-9);
      names.add("≥ " + Figures.count(least));
    }
    return names;
  }
}
