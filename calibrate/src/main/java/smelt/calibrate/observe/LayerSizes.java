package smelt.calibrate.observe;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.Attention;
import smelt.calibrate.model.FeedForward;
import smelt.calibrate.model.ModelSpec;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;

/// What observing a model takes, layer by layer, known from its config.
public final class LayerSizes {

  /// Heap bytes of a channel: its sums, its statistics twice when they are written, its row in the
  /// table; half as much again for what is not collected yet.
  private static final long HEAP_PER_CHANNEL = 102;

  private static final long HEAP_PER_SITE = 40L << 10;

  /// Off-heap bytes of a batch of rows, and heap of writing it.
  private static final long WRITING = 12L << 20;

  private static final long BYTES_PER_CHANNEL_ROW = 30;
  private static final long BYTES_PER_SITE = 208;
  private static final long BYTES_PER_HISTOGRAM = 1200L * 26;
  private static final long BYTES_PER_LAYER = 16L << 10;

  private final ModelSpec spec;
  private final LayerObserver.Options options;

  public LayerSizes(ModelSpec spec, LayerObserver.Options options) {
    this.spec = spec;
    this.options = options;
  }

  /// Channels of every site of a layer; the layer behind the last has the head's.
  static Map<Site, Long> channels(ModelSpec spec, int layer) {
    Map<Site, Long> sites = new LinkedHashMap<>();
    long hidden = spec.hidden();
    if (layer == spec.layerCount()) {
      sites.put(new Site.HeadInput(layer), hidden);
      return sites;
    }
    sites.put(new Site.AttentionInput(layer), hidden);
    switch (spec.attention()) {
      case Attention.Mla mla -> {
        mla.queryRank().ifPresent(rank -> sites.put(new Site.QueryLatent(layer), (long) rank));
        sites.put(new Site.KeyValueLatent(layer), (long) mla.latentRank());
        sites.put(new Site.AttentionOutput(layer), (long) mla.heads() * mla.valueSize());
      }
      case Attention.Grouped grouped ->
          sites.put(new Site.AttentionOutput(layer), (long) grouped.heads() * grouped.headSize());
    }
    sites.put(new Site.FeedForwardInput(layer), hidden);
    switch (spec.layers().get(layer)) {
      case FeedForward.Dense dense -> sites.put(new Site.DenseDown(layer), (long) dense.width());
      case FeedForward.Experts experts -> {
        if (experts.sharedWidth() > 0) {
          sites.put(new Site.SharedDown(layer), (long) experts.sharedWidth());
        }
        for (int expert = 0; expert < experts.rule().experts(); expert++) {
          sites.put(new Site.ExpertInput(layer, expert), hidden);
          sites.put(new Site.ExpertDown(layer, expert), (long) experts.width());
        }
      }
    }
    return sites;
  }

  /// Heap bytes of observing the largest layer and writing its tables.
  public long heapBytes() {
    long most = 0;
    for (int layer = 0; layer <= spec.layerCount(); layer++) {
      Map<Site, Long> sites = channels(spec, layer);
      long ofLayer = sites.keySet().stream().filter(s -> Sites.expert(s).isEmpty()).count();
      long channels = sites.values().stream().mapToLong(Long::longValue).sum();
      most =
          Math.max(
              most,
              HEAP_PER_CHANNEL * channels
                  + HEAP_PER_SITE * ofLayer
                  + 3 * NearestTokens.bytes(spec, layer, options) / 2);
    }
    return most + WRITING;
  }

  /// Native bytes of the Hessians that are summed at the same time, in the layer where that is the
  /// most: each is given back when its part of the layer is done.
  public long hessianBytes() {
    long most = 0;
    for (int layer = 0; layer < spec.layerCount(); layer++) {
      long attention = 0;
      long common = 0;
      long expert = 0;
      for (Map.Entry<Site, Long> site : channels(spec, layer).entrySet()) {
        if (options.hessians().keeps(site.getKey())) {
          long bytes = squares(site.getKey()) * HessianSums.bytes(site.getValue());
          switch (site.getKey()) {
            case Site.AttentionInput _,
                Site.QueryLatent _,
                Site.KeyValueLatent _,
                Site.AttentionOutput _ ->
                attention += bytes;
            case Site.FeedForwardInput _, Site.DenseDown _, Site.SharedDown _ -> common += bytes;
            case Site.ExpertInput(_, int number) -> expert += number == 0 ? bytes : 0;
            case Site.ExpertDown(_, int number) -> expert += number == 0 ? bytes : 0;
            case Site.HeadInput _ -> {}
          }
        }
      }
      most = Math.max(most, Math.max(attention, common + expert));
    }
    return most == 0 ? 0 : most + TableFiles.rowBytes(widest());
  }

  /// How many Hessians are kept of a site that has any.
  private long squares(Site site) {
    return !options.heldOut().isEmpty() && options.hessians().keepsHeldOut(site) ? 2 : 1;
  }

  private long widest() {
    long widest = 0;
    for (int layer = 0; layer < spec.layerCount(); layer++) {
      for (long channels : channels(spec, layer).values()) {
        widest = Math.max(widest, channels);
      }
    }
    return widest;
  }

  /// Bytes of all files at most.
  public long tableBytes() {
    long bytes = 0;
    for (int layer = 0; layer <= spec.layerCount(); layer++) {
      bytes += BYTES_PER_LAYER;
      for (Map.Entry<Site, Long> site : channels(spec, layer).entrySet()) {
        long channels = site.getValue();
        bytes += BYTES_PER_SITE + BYTES_PER_CHANNEL_ROW * channels;
        bytes += Sites.expert(site.getKey()).isEmpty() ? BYTES_PER_HISTOGRAM : 0;
        if (options.hessians().keeps(site.getKey())) {
          long one = Matrix.bytes(channels, channels) + BYTES_PER_SITE;
          bytes = Math.addExact(bytes, squares(site.getKey()) * one);
        }
      }
    }
    return bytes;
  }

  /// Multiplications and additions of the products with the weights of all layers. The head is not
  /// multiplied with.
  public static double forward(Checkpoint checkpoint, ModelSpec spec, long tokens) {
    double sum = 0;
    for (Weight weight : checkpoint.weights()) {
      Site site = Site.of(weight.role(), spec.layerCount()).orElse(null);
      if (site != null && !(site instanceof Site.HeadInput)) {
        double share = 1;
        if (Sites.expert(site).isPresent()
            && spec.layers().get(site.layer()) instanceof FeedForward.Experts experts) {
          share = (double) experts.rule().chosen() / experts.rule().experts();
        }
        sum += 2.0 * weight.shape().elements() * share * tokens;
      }
    }
    return sum;
  }

  /// The same of running experts on further tokens, up to the input of `down`.
  public static double forced(ModelSpec spec, List<TableIndex.LayerCoverage> coverage) {
    double sum = 0;
    for (TableIndex.LayerCoverage layer : coverage) {
      if (spec.layers().get(layer.layer()) instanceof FeedForward.Experts experts) {
        sum += 4.0 * spec.hidden() * experts.width() * layer.forced();
      }
    }
    return sum;
  }
}
