package smelt.converter.tuning;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import smelt.calibrate.observe.InputStats;
import smelt.calibrate.smooth.ColumnStats;
import smelt.calibrate.smooth.Coupling;
import smelt.calibrate.smooth.Couplings;
import smelt.calibrate.smooth.FoldedRows;
import smelt.calibrate.smooth.Folding;
import smelt.calibrate.smooth.Pair;
import smelt.calibrate.smooth.Smoothing;
import smelt.calibrate.smooth.Strength;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;

/// The factors of one target, powers of two, so that what stays in BF16 keeps its bits. Those of a
/// pair are chosen when one of its weights is first asked for: the pair's rounded weights are read
/// for that, once more than for the conversion. A few pairs are kept, so a target's weights are to
/// be asked for about in the order of the layers. Safe for several threads.
final class Foldings {

  /// Pairs whose factors are kept.
  private static final int KEPT = 64;

  private final ModelSource source;
  private final Statistics table;
  private final Kernels kernels;
  private final int threads;
  private final Predicate<Weight> rounded;
  private final Map<String, List<Coupling>> couplings = new HashMap<>();
  private final Map<Pair, Folding> kept = new LinkedHashMap<>(16, 0.75f, true);

  /// @param pairs whose weights all are in the target
  /// @param threads that read a pair's weights, at most
  /// @param rounded whether the target rounds a weight
  Foldings(
      ModelSource source,
      Statistics table,
      Kernels kernels,
      int threads,
      List<Coupling> pairs,
      Predicate<Weight> rounded) {
    this.source = source;
    this.table = table;
    this.kernels = kernels;
    this.threads = threads;
    this.rounded = rounded;
    for (Coupling coupling : pairs) {
      if (coupling.consumers().stream().anyMatch(rounded)) {
        coupling.producers().forEach(producer -> add(producer.weight(), coupling));
        coupling.consumers().forEach(weight -> add(weight, coupling));
      }
    }
  }

  /// The pairs of some kinds that lie whole within the weights that a target has.
  static List<Coupling> within(Checkpoint checkpoint, Set<Pair.Kind> kinds, Predicate<Weight> has) {
    return Couplings.of(checkpoint).all(kinds).stream()
        .filter(coupling ->
            coupling.consumers().stream().allMatch(has)
                && coupling.producers().stream().map(Coupling.Producer::weight).allMatch(has))
        .toList();
  }

  /// Bytes at most while factors are chosen: buffers, and the columns of one pair's weights.
  static long bytes(Checkpoint checkpoint, Set<Pair.Kind> kinds, int threads) {
    long columns = 0;
    long buffers = 0;
    for (Coupling coupling : Couplings.of(checkpoint).all(kinds)) {
      int sampled = ColumnStats.sampledRows(coupling.consumers().size());
      long own =
          coupling.consumers().size() * ColumnStats.bytes(coupling.inputs(), sampled)
              + (long) KEPT * Float.BYTES * coupling.inputs();
      columns = Math.max(columns, own);
      buffers = Math.max(buffers, PairColumns.bufferBytes(coupling.consumers(), threads));
    }
    return Math.addExact(columns, buffers);
  }

  private void add(Weight weight, Coupling coupling) {
    couplings.computeIfAbsent(weight.name(), _ -> new ArrayList<>()).add(coupling);
  }

  /// What multiplies the weight's rows.
  synchronized Optional<FoldedRows> rows(Weight weight) throws IOException {
    List<Folding> foldings = new ArrayList<>();
    for (Coupling coupling : couplings.getOrDefault(weight.name(), List.of())) {
      foldings.add(folding(coupling));
    }
    return foldings.isEmpty() ? Optional.empty() : Folding.combine(foldings).rows(weight);
  }

  private Folding folding(Coupling coupling) throws IOException {
    Folding known = kept.get(coupling.pair());
    if (known != null) {
      return known;
    }
    Folding chosen = choose(coupling);
    if (kept.size() >= KEPT) {
      kept.remove(kept.keySet().iterator().next());
    }
    kept.put(coupling.pair(), chosen);
    return chosen;
  }

  private Folding choose(Coupling coupling) throws IOException {
    Optional<InputStats> input = table.stats(coupling.pair().site());
    List<Weight> weights = coupling.consumers().stream().filter(rounded).toList();
    if (input.isEmpty()) {
      return Folding.NONE;
    }
    List<ColumnStats> columns = PairColumns.read(source, kernels, weights, threads);
    return Smoothing.choose(coupling, input.get(), columns, new Strength.Searched(), true)
        .folding();
  }
}
