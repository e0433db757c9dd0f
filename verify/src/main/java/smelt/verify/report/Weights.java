package smelt.verify.report;

import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.TensorScore;

/// The scores of a report's weights, gathered: by layer and column (a role, and its projection),
/// where the worst of a cell stands for all, such as all experts of a layer.
final class Weights {

  private static final List<String> ORDER =
      List.of(
              "attention.q_a attention.q attention.q_b attention.kv_a attention.k attention.v"
                  .split(" "),
              "attention.kv_b attention.o attention.bias norm dense.gate dense.up dense.down"
                  .split(" "),
              "router.weight router.bias shared.gate shared.up shared.down".split(" "),
              "routed.gate routed.up routed.down".split(" "))
          .stream()
          .flatMap(java.util.Arrays::stream)
          .toList();

  /// A column of the map, such as `attention` and `q_a`; the group may be empty.
  record Column(String group, String leaf) implements Comparable<Column> {
    private static final Comparator<Column> BY_PLACE =
        Comparator.comparingInt(Column::place)
            .thenComparing(Column::group)
            .thenComparing(Column::leaf);

    @Override
    public int compareTo(Column other) {
      return BY_PLACE.compare(this, other);
    }

    private int place() {
      int found = ORDER.indexOf(group.isEmpty() ? leaf : group + "." + leaf);
      return found < 0 ? ORDER.size() : found;
    }
  }

  /// Several weights, and the worst of them.
  record Cell(TensorScore worst, long weights, long exact, long nonFinite) {
    Cell and(Cell other) {
      return new Cell(
          BY_SQNR.compare(worst, other.worst) <= 0 ? worst : other.worst,
          weights + other.weights,
          exact + other.exact,
          nonFinite + other.nonFinite);
    }
  }

  /// The lowest SQNR first; NaN is the lowest.
  static final Comparator<TensorScore> BY_SQNR =
      Comparator.comparingDouble(
          score -> Double.isNaN(score.sqnrDb()) ? Double.NEGATIVE_INFINITY : score.sqnrDb());

  private final SortedMap<Integer, SortedMap<Column, Cell>> layers = new TreeMap<>();
  private final SortedMap<String, Cell> outside = new TreeMap<>();
  private final SortedSet<Column> columns = new TreeSet<>();

  private Weights() {}

  static Weights of(List<TensorScore> scores) {
    Weights weights = new Weights();
    for (TensorScore score : scores) {
      Cell cell = new Cell(score, 1, score.bitExact() ? 1 : 0, score.nonFinite());
      if (score.layer().isPresent()) {
        Column column = column(score);
        weights.columns.add(column);
        weights
            .layers
            .computeIfAbsent(score.layer().getAsInt(), _ -> new TreeMap<>())
            .merge(column, cell, Cell::and);
      } else {
        weights.outside.merge(score.role(), cell, Cell::and);
      }
    }
    return weights;
  }

  SortedMap<Integer, SortedMap<Column, Cell>> layers() {
    return layers;
  }

  /// By role: what stands in no layer.
  SortedMap<String, Cell> outside() {
    return outside;
  }

  SortedSet<Column> columns() {
    return columns;
  }

  /// The tensors that the verdict names, in its order; where it names none, those with the lowest
  /// finite SQNR.
  static List<TensorScore> worst(QualityReport report, int most) {
    Set<String> named = new HashSet<>(report.verdict().worstTensors());
    if (named.isEmpty()) {
      return report.tensors().stream()
          .filter(score -> score.sqnrDb() != Double.POSITIVE_INFINITY)
          .sorted(BY_SQNR)
          .limit(most)
          .toList();
    }
    Map<String, TensorScore> found = new HashMap<>();
    report.tensors().stream()
        .filter(score -> named.contains(score.tensor()))
        .forEach(score -> found.putIfAbsent(score.tensor(), score));
    return report.verdict().worstTensors().stream()
        .filter(found::containsKey)
        .map(found::get)
        .limit(most)
        .toList();
  }

  private static Column column(TensorScore score) {
    String leaf = score.projection().map(p -> p.name().toLowerCase(Locale.ROOT)).orElse("");
    return switch (score.role()) {
      case "dense_mlp" -> new Column("dense", leaf);
      case "shared_expert" -> new Column("shared", leaf);
      case "routed_expert" -> new Column("routed", leaf);
      case "router" -> new Column("router", "weight");
      case "router_bias" -> new Column("router", "bias");
      case "attention_bias" -> new Column("attention", "bias");
      default -> {
        int dot = score.role().indexOf('.');
        String group = dot < 0 ? "" : score.role().substring(0, dot);
        yield new Column(group, score.role().substring(dot + 1));
      }
    };
  }
}
