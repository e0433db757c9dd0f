package smelt.calibrate.smooth;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import smelt.formats.checkpoint.Weight;

/// Factors that go into the weights of a model without changing what it computes:
///
/// ```
/// w'[r][c] = w[r][c] * rowFactors[r] * columnFactors[c]
/// ```
///
/// A vector, the weight of a norm or a bias, is one row. Factors that are powers of two change
/// nothing but exponents, so BF16 and F32 weights keep their bits and the model its logits; others
/// round.
public final class Folding {

  /// Changes nothing.
  public static final Folding NONE = new Folding(Map.of(), Map.of());

  /// Factors of channels, and what of a weight they go to.
  @SuppressWarnings("ArrayRecordComponent")
  private record Share(float[] factors, boolean divided, ChannelMap map) {

    float[] spread(int count) {
      float[] spread = map.spread(factors, count);
      if (divided) {
        for (int i = 0; i < count; i++) {
          spread[i] = 1 / spread[i];
        }
      }
      return spread;
    }
  }

  private final Map<String, List<Share>> rows;
  private final Map<String, List<Share>> columns;

  private Folding(Map<String, List<Share>> rows, Map<String, List<Share>> columns) {
    this.rows = rows;
    this.columns = columns;
  }

  /// What divides a pair's channels by factors, and multiplies what reads them.
  ///
  /// @param factors one for each channel, positive and finite like their reciprocals; copied
  public static Folding of(Coupling coupling, float[] factors) {
    float[] own = checked(coupling, factors);
    Map<String, List<Share>> rows = new LinkedHashMap<>();
    Map<String, List<Share>> columns = new LinkedHashMap<>();
    for (Coupling.Producer producer : coupling.producers()) {
      boolean isVector = producer.weight().shape().rank() < 2;
      (isVector ? columns : rows)
          .put(producer.weight().name(), List.of(new Share(own, true, producer.map())));
    }
    for (Weight consumer : coupling.consumers()) {
      columns.put(consumer.name(), List.of(new Share(own, false, coupling.columns())));
    }
    return new Folding(rows, columns);
  }

  private static float[] checked(Coupling coupling, float[] factors) {
    if (factors.length != coupling.channels()) {
      throw new IllegalArgumentException(
          factors.length + " factors for " + coupling.channels() + " channels");
    }
    for (float factor : factors) {
      if (!(factor >= Float.MIN_NORMAL && 1 / factor >= Float.MIN_NORMAL)) {
        throw new IllegalArgumentException(coupling.pair() + ": a factor of " + factor);
      }
    }
    return factors.clone();
  }

  /// All of them together; where several have factors for a row or column, their product.
  public static Folding combine(Collection<Folding> foldings) {
    Map<String, List<Share>> rows = new LinkedHashMap<>();
    Map<String, List<Share>> columns = new LinkedHashMap<>();
    for (Folding folding : foldings) {
      addAll(folding.rows, rows);
      addAll(folding.columns, columns);
    }
    return new Folding(rows, columns);
  }

  private static void addAll(Map<String, List<Share>> from, Map<String, List<Share>> to) {
    from.forEach((name, shares) -> to.computeIfAbsent(name, _ -> new ArrayList<>()).addAll(shares));
  }

  /// The factor of each row; empty for a weight whose rows stay, and for every vector.
  public Optional<float[]> rowFactors(Weight weight) {
    return factors(rows, weight, Math.toIntExact(rowsOf(weight)));
  }

  /// The factor of each column; empty for a weight whose columns stay.
  public Optional<float[]> columnFactors(Weight weight) {
    return factors(columns, weight, Math.toIntExact(weight.shape().elements() / rowsOf(weight)));
  }

  private static long rowsOf(Weight weight) {
    return weight.shape().rank() == 2 ? weight.shape().dim(0) : 1;
  }

  private static Optional<float[]> factors(Map<String, List<Share>> all, Weight weight, int count) {
    return Optional.ofNullable(all.get(weight.name())).stream()
        .flatMap(List::stream)
        .map(share -> share.spread(count))
        .reduce(Folding::times);
  }

  private static float[] times(float[] a, float[] b) {
    float[] product = a.clone();
    for (int i = 0; i < product.length; i++) {
      product[i] *= b[i];
    }
    return product;
  }

  /// Whether a weight has factors. One that has cannot be copied as it is stored, whatever the
  /// target.
  public boolean touches(Weight weight) {
    return rows.containsKey(weight.name()) || columns.containsKey(weight.name());
  }

  /// Names of the weights that have factors.
  public Set<String> names() {
    Set<String> names = new LinkedHashSet<>(rows.keySet());
    names.addAll(columns.keySet());
    return names;
  }

  /// Whether every factor is a power of two.
  public boolean isExact() {
    return Stream.of(rows, columns)
        .flatMap(map -> map.values().stream())
        .flatMap(List::stream)
        .allMatch(share -> Arrays.equals(share.factors(), PowersOfTwo.nearest(share.factors())));
  }

  /// What multiplies rows of a weight; empty if it has no factors.
  public Optional<FoldedRows> rows(Weight weight) {
    return touches(weight)
        ? Optional.of(new FoldedRows(rowFactors(weight), columnFactors(weight)))
        : Optional.empty();
  }
}
