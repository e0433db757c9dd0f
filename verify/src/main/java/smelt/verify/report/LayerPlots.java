package smelt.verify.report;

import java.util.List;
import java.util.OptionalDouble;
import java.util.function.ToDoubleFunction;
import java.util.stream.DoubleStream;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.RouterScore;

/// What happens from layer to layer, as curves.
final class LayerPlots {

  private LayerPlots() {}

  /// SQNR of the hidden states: what a layer adds by itself, and what has gathered behind it.
  static void sqnr(Markup page, List<LayerScore> layers, OptionalDouble bound) {
    List<Plot.Line> lines =
        List.of(
            line("local", layers, LayerScore::localDb),
            line("free", layers, LayerScore::freeDb),
            line("forced", layers, LayerScore::forcedDb));
    double[] finite =
        DoubleStream.concat(
                lines.stream().flatMapToDouble(line -> DoubleStream.of(line.y())), stream(bound))
            .filter(Double::isFinite)
            .toArray();
    double low = DoubleStream.of(finite).min().orElse(0);
    double high = DoubleStream.of(finite).max().orElse(100);
    double pad = Math.max(2, (high - low) * 0.08);
    Axis y = Plot.up(Math.max(low - pad, Math.min(low, 0)), high + pad, false);
    Axis x = across(layers);
    String label = "SQNR of the hidden state by layer, in dB";
    try (Drawing drawing = Plot.frame(page, label, x, y, "layer", "SQNR, dB")) {
      bound.ifPresent(value -> Plot.level(drawing, y, value, "bound of local"));
      Plot.lines(drawing, x, y, lines);
    }
  }

  /// How the routers agree.
  static void routers(Markup page, List<LayerScore> layers, OptionalDouble bound) {
    List<LayerScore> routed = layers.stream().filter(layer -> layer.router().isPresent()).toList();
    List<Plot.Line> lines =
        List.of(
            line("routed mass", routed, layer -> router(layer).massOverlap()),
            line("same experts", routed, layer -> router(layer).sameSet()));
    double low =
        DoubleStream.concat(
                lines.stream().flatMapToDouble(line -> DoubleStream.of(line.y())), stream(bound))
            .filter(Double::isFinite)
            .min()
            .orElse(0);
    Axis y = Plot.up(Math.max(0, 1 - (1 - Math.min(low, 0.999)) * 1.12), 1, false);
    Axis x = across(layers);
    String label = "Agreement of the routers by layer";
    try (Drawing drawing = Plot.frame(page, label, x, y, "layer", "share")) {
      bound.ifPresent(value -> Plot.level(drawing, y, value, "bound of routed mass"));
      Plot.lines(drawing, x, y, lines);
    }
  }

  private static RouterScore router(LayerScore layer) {
    return layer.router().orElseThrow();
  }

  private static Axis across(List<LayerScore> layers) {
    int first = layers.getFirst().layer();
    int last = Math.max(layers.getLast().layer(), first + 1);
    return Plot.across(first, last, false);
  }

  private static Plot.Line line(
      String name, List<LayerScore> layers, ToDoubleFunction<LayerScore> value) {
    double[] x = layers.stream().mapToDouble(LayerScore::layer).toArray();
    return new Plot.Line(name, x, layers.stream().mapToDouble(value).toArray());
  }

  private static DoubleStream stream(OptionalDouble value) {
    return value.isPresent() ? DoubleStream.of(value.getAsDouble()) : DoubleStream.empty();
  }
}
