package smelt.calibrate.observe;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import smelt.calibrate.tables.Column;
import smelt.calibrate.tables.Table;

/// The tables of one layer. Their columns are described for users in `docs/calibration.md`.
final class LayerTables {

  static final String SITES = "sites";
  static final String CHANNELS = "channels";
  static final String HISTOGRAMS = "histograms";
  static final String EXPERTS = "experts";
  static final int VERSION = 2;

  private final int layer;
  private final Coverage coverage;
  private final List<Row> rows = new ArrayList<>();
  private int channels;
  private int bins;

  /// A site, and where its rows begin in the tables of channels and histograms.
  private record Row(Site site, InputStats stats, int firstChannel, int firstBin, int bins) {}

  LayerTables(LayerObserver observer) {
    layer = observer.layer();
    coverage = observer.coverage();
    for (Site site : observer.sites()) {
      InputStats stats = observer.stats(site).orElseThrow();
      int used = stats.histogram().map(h -> h.bins().length).orElse(0);
      rows.add(new Row(site, stats, channels, bins, used));
      channels = Math.addExact(channels, stats.channels());
      bins = Math.addExact(bins, used);
    }
  }

  static String schema(String table) {
    return table + "/" + VERSION;
  }

  List<Table> all() {
    return List.of(sites(), channels(), histograms(), experts());
  }

  private Table sites() {
    return new Table(
        SITES,
        VERSION,
        rows.size(),
        List.of(
            new Column.Int32("layer", _ -> layer),
            new Column.OptionalInt32("expert", i -> Sites.expert(rows.get(i).site)),
            new Column.Category("site", i -> Optional.of(rows.get(i).site.label())),
            new Column.Category("source", i -> Optional.of(word(source(rows.get(i).site)))),
            new Column.Int64("tokens", i -> rows.get(i).stats.tokens()),
            new Column.Int64("held_out_tokens", i -> rows.get(i).stats.heldOutTokens()),
            new Column.Float32("min", i -> rows.get(i).stats.min()),
            new Column.Float32("max", i -> rows.get(i).stats.max()),
            new Column.Int32("channels", i -> rows.get(i).stats.channels()),
            new Column.Int32("first_channel", i -> rows.get(i).firstChannel),
            new Column.Int32("bins", i -> rows.get(i).bins),
            new Column.Int32("first_bin", i -> rows.get(i).firstBin)));
  }

  /// What a weight that reads the site is calibrated with.
  private Coverage.Source source(Site site) {
    return switch (site) {
      case Site.ExpertInput(_, int expert) -> coverage.experts().get(expert).input();
      case Site.ExpertDown(_, int expert) -> coverage.experts().get(expert).down();
      case Site.AttentionInput _,
          Site.QueryLatent _,
          Site.KeyValueLatent _,
          Site.AttentionOutput _,
          Site.FeedForwardInput _,
          Site.DenseDown _,
          Site.SharedDown _,
          Site.HeadInput _ ->
          Coverage.Source.OWN;
    };
  }

  private static String word(Coverage.Source source) {
    return source.name().toLowerCase(Locale.ROOT);
  }

  private Table channels() {
    int[] rowOf = new int[channels];
    float[] absmax = new float[channels];
    float[] meanSquare = new float[channels];
    float[] heldOut = new float[channels];
    for (int i = 0; i < rows.size(); i++) {
      InputStats stats = rows.get(i).stats;
      int first = rows.get(i).firstChannel;
      java.util.Arrays.fill(rowOf, first, first + stats.channels(), i);
      System.arraycopy(stats.channelAbsmax(), 0, absmax, first, stats.channels());
      System.arraycopy(stats.channelMeanSquare(), 0, meanSquare, first, stats.channels());
      System.arraycopy(stats.heldOutMeanSquare(), 0, heldOut, first, stats.channels());
    }
    return new Table(
        CHANNELS,
        VERSION,
        channels,
        List.of(
            new Column.Int32("layer", _ -> layer),
            new Column.OptionalInt32("expert", i -> expert(rowOf[i])),
            new Column.Category("site", i -> Optional.of(rows.get(rowOf[i]).site.label())),
            new Column.Int32("channel", i -> i - rows.get(rowOf[i]).firstChannel),
            new Column.Float32("absmax", i -> absmax[i]),
            new Column.Float32("mean_square", i -> meanSquare[i]),
            new Column.Float32("held_out_mean_square", i -> heldOut[i])));
  }

  private OptionalInt expert(int row) {
    return Sites.expert(rows.get(row).site);
  }

  private Table histograms() {
    int[] rowOf = new int[bins];
    int[] binOf = new int[bins];
    for (int i = 0; i < rows.size(); i++) {
      int first = rows.get(i).firstBin;
      int[] used = rows.get(i).stats.histogram().map(Histogram::bins).orElse(new int[0]);
      java.util.Arrays.fill(rowOf, first, first + used.length, i);
      System.arraycopy(used, 0, binOf, first, used.length);
    }
    return new Table(
        HISTOGRAMS,
        VERSION,
        bins,
        List.of(
            new Column.Int32("layer", _ -> layer),
            new Column.Category("site", i -> Optional.of(rows.get(rowOf[i]).site.label())),
            new Column.Int32("bin", i -> binOf[i]),
            new Column.Float32("lower", i -> Histogram.lower(binOf[i])),
            new Column.Int64("count", i -> histogram(rowOf[i]).count(binOf[i]))));
  }

  private Histogram histogram(int row) {
    return rows.get(row).stats.histogram().orElseThrow();
  }

  private Table experts() {
    List<Coverage.Expert> experts = coverage.experts();
    return new Table(
        EXPERTS,
        VERSION,
        experts.size(),
        List.of(
            new Column.Int32("layer", _ -> layer),
            new Column.Int32("expert", i -> i),
            new Column.Int64("tokens", i -> experts.get(i).tokens()),
            new Column.Real("hit_ratio", i -> (double) experts.get(i).tokens() / coverage.tokens()),
            new Column.Real("weight_sum", i -> experts.get(i).mass()),
            new Column.Real("weight_square_sum", i -> experts.get(i).squares()),
            new Column.Real("effective", i -> experts.get(i).effective()),
            new Column.Int64("forced_tokens", i -> experts.get(i).forced()),
            new Column.Category("input_source", i -> Optional.of(word(experts.get(i).input()))),
            new Column.Category("down_source", i -> Optional.of(word(experts.get(i).down()))),
            new Column.Int64("sample_tokens", _ -> coverage.tokens())));
  }
}
