package smelt.verify.tables;

import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import smelt.calibrate.tables.Column;
import smelt.calibrate.tables.Table;
import smelt.verify.quality.ExpertUse;
import smelt.verify.quality.LayerScore;
import smelt.verify.quality.QualityReport;
import smelt.verify.quality.RouterScore;
import smelt.verify.quality.TensorScore;
import smelt.verify.quality.TokenScores;

/// Which tables are made from a report, and their columns. Described for users in `docs/tables.md`.
final class Schemas {

  private static final int NONE = -1;

  private Schemas() {}

  static List<Table> of(QualityReport report) {
    return List.of(
        tensors(report.tensors()),
        layers(report.layers()),
        tokens(report.tokens()),
        experts(report.experts()));
  }

  /// Sorted by layer, expert, projection and name; what has none of them comes first.
  private static Table tensors(List<TensorScore> scores) {
    List<TensorScore> rows =
        scores.stream()
            .sorted(
                Comparator.comparingInt((TensorScore s) -> s.layer().orElse(NONE))
                    .thenComparingInt(s -> s.expert().orElse(NONE))
                    .thenComparingInt(s -> s.projection().map(Enum::ordinal).orElse(NONE))
                    .thenComparing(TensorScore::tensor))
            .toList();
    return new Table(
        "tensors",
        1,
        rows.size(),
        List.of(
            new Column.Text("tensor", i -> rows.get(i).tensor()),
            new Column.Category("role", i -> Optional.of(rows.get(i).role())),
            new Column.OptionalInt32("layer", i -> rows.get(i).layer()),
            new Column.OptionalInt32("expert", i -> rows.get(i).expert()),
            new Column.Category("projection", i -> projection(rows.get(i))),
            new Column.Category("src_encoding", i -> Optional.of(rows.get(i).from())),
            new Column.Category("dst_encoding", i -> Optional.of(rows.get(i).to())),
            new Column.Int64("params", i -> rows.get(i).elements()),
            new Column.Flag("bit_exact", i -> rows.get(i).bitExact()),
            new Column.Real("sqnr_db", i -> rows.get(i).sqnrDb()),
            new Column.Real("max_abs_err", i -> rows.get(i).maxAbsError()),
            new Column.Real("rel_fro_err", i -> rows.get(i).relativeError()),
            new Column.Real("cosine", i -> rows.get(i).cosine()),
            new Column.Int64("non_finite_count", i -> rows.get(i).nonFinite()),
            new Column.Real("clip_ratio", i -> rows.get(i).clippedShare()),
            new Column.Real("scale_min", i -> rows.get(i).scaleMin().orElse(Double.NaN)),
            new Column.Real("scale_max", i -> rows.get(i).scaleMax().orElse(Double.NaN))));
  }

  private static Optional<String> projection(TensorScore score) {
    return score.projection().map(p -> p.name().toLowerCase(Locale.ROOT));
  }

  private static Table layers(List<LayerScore> scores) {
    List<LayerScore> rows =
        scores.stream().sorted(Comparator.comparingInt(LayerScore::layer)).toList();
    return new Table(
        "layers",
        1,
        rows.size(),
        List.of(
            new Column.Int32("layer", i -> rows.get(i).layer()),
            new Column.Real("local_sqnr_db", i -> rows.get(i).localDb()),
            new Column.Real(
                "local_sqnr_db_limit", i -> rows.get(i).localLimitDb().orElse(Double.NaN)),
            new Column.Real("free_sqnr_db", i -> rows.get(i).freeDb()),
            new Column.Real("forced_sqnr_db", i -> rows.get(i).forcedDb()),
            router("router_same_set", rows, RouterScore::sameSet),
            router("router_overlap", rows, RouterScore::overlap),
            router("router_mass_overlap", rows, RouterScore::massOverlap),
            router("router_mass_overlap_limit", rows, r -> r.massLimit().orElse(Double.NaN)),
            router("router_first_changed", rows, RouterScore::firstChanged),
            router("router_decided_flips", rows, RouterScore::decidedFlips)));
  }

  private static Column router(
      String name, List<LayerScore> rows, ToDoubleFunction<RouterScore> figure) {
    return new Column.Real(
        name,
        i -> rows.get(i).router().stream().mapToDouble(figure).findFirst().orElse(Double.NaN));
  }

  /// Sorted by sequence and position; no rows when no inference was made.
  private static Table tokens(Optional<TokenScores> scores) {
    TokenScores s = scores.orElseGet(Schemas::noTokens);
    int[] rows =
        IntStream.range(0, s.size())
            .boxed()
            .sorted(
                Comparator.comparingInt((Integer i) -> s.sequence()[i])
                    .thenComparingInt(i -> s.position()[i]))
            .mapToInt(Integer::intValue)
            .toArray();
    return new Table(
        "tokens",
        1,
        rows.length,
        List.of(
            new Column.Int32("sequence", i -> s.sequence()[rows[i]]),
            new Column.Int32("pos", i -> s.position()[rows[i]]),
            new Column.Int32("target", i -> s.target()[rows[i]]),
            new Column.Real("kl", i -> s.kl()[rows[i]]),
            new Column.Real("forced_kl", i -> s.forcedKl()[rows[i]]),
            new Column.Real("ref_logprob", i -> s.logP()[rows[i]]),
            new Column.Real("q_logprob", i -> s.logQ()[rows[i]]),
            new Column.Flag("top1_same", i -> s.sameTop()[rows[i]]),
            new Column.Flag("forced_top1_same", i -> s.sameTopForced()[rows[i]]),
            new Column.Real("eos_shift", i -> s.eosShift()[rows[i]])));
  }

  private static TokenScores noTokens() {
    return new TokenScores(
        new int[0],
        new int[0],
        new int[0],
        new double[0],
        new double[0],
        new double[0],
        new double[0],
        new boolean[0],
        new boolean[0],
        new double[0]);
  }

  private static Table experts(List<ExpertUse> uses) {
    List<ExpertUse> rows =
        uses.stream()
            .sorted(Comparator.comparingInt(ExpertUse::layer).thenComparingInt(ExpertUse::expert))
            .toList();
    Map<Integer, Long> ofLayer =
        rows.stream()
            .collect(
                Collectors.groupingBy(ExpertUse::layer, Collectors.summingLong(ExpertUse::tokens)));
    Function<ExpertUse, OptionalDouble> ratio =
        use -> {
          long all = ofLayer.get(use.layer());
          return all == 0 ? OptionalDouble.empty() : OptionalDouble.of((double) use.tokens() / all);
        };
    return new Table(
        "experts",
        1,
        rows.size(),
        List.of(
            new Column.Int32("layer", i -> rows.get(i).layer()),
            new Column.Int32("expert", i -> rows.get(i).expert()),
            new Column.Int64("tokens", i -> rows.get(i).tokens()),
            new Column.Real("weight_sum", i -> rows.get(i).weight()),
            new Column.Real("hit_ratio", i -> ratio.apply(rows.get(i)).orElse(Double.NaN))));
  }
}
