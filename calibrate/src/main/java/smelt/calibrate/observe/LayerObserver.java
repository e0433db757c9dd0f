package smelt.calibrate.observe;

import java.io.IOException;
import java.lang.foreign.SegmentAllocator;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.FeedForward;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.model.Observer;
import smelt.calibrate.model.Routing;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;

/// Measures one layer while the reference model runs it, or the head. What it finds does not depend
/// on the number of threads, and with [Compute#steady] neither on how many tokens come at once.
///
/// For one thread. Hessians lie in native memory until [#forget] or [#close].
public final class LayerObserver implements Observer, AutoCloseable {

  /// Told when no more numbers will come to a site.
  @FunctionalInterface
  public interface Listener {
    /// Does nothing.
    Listener NONE = (_, _) -> {};

    void finished(LayerObserver observer, Site site) throws IOException;
  }

  /// What is measured beside the statistics of each channel.
  ///
  /// @param floor an expert with fewer tokens is calibrated with more than its own
  /// @param sample tokens that are going to come, as far as that is known; 0 where it is not
  /// @param heldOut those of them whose second moments are kept apart
  public record Options(HessianChoice hessians, long floor, long sample, HeldOut heldOut) {

    /// Statistics of channels alone.
    public static final Options PLAIN = new Options(HessianChoice.NONE, 128);

    public Options {
      if (floor < 0 || sample < 0) {
        throw new IllegalArgumentException("a floor of " + floor + ", a sample of " + sample);
      }
    }

    /// For a sample of unknown size, of which no token is held out.
    public Options(HessianChoice hessians, long floor) {
      this(hessians, floor, 0, HeldOut.NONE);
    }

    /// The same for a sample of so many tokens.
    public Options of(long tokens) {
      return new Options(hessians, floor, tokens, heldOut);
    }

    /// The same with tokens held out.
    public Options holding(HeldOut tokens) {
      return new Options(hessians, floor, sample, tokens);
    }
  }

  private final ModelSpec spec;
  private final int layer;
  private final Options options;
  private final Compute compute;
  private final Listener listener;
  private final Map<Site, InputSums> sums = new HashMap<>();
  private final Map<Site, HessianSums> hessians = new HashMap<>();
  private final Map<Site, HessianSums> heldOutHessians = new HashMap<>();
  private final ExpertSums experts;
  private final NearestTokens nearest;
  private final long[] forced;

  /// @param layer the number of layers for the head
  /// @param compute stays open as long as this
  public LayerObserver(
      ModelSpec spec, int layer, Options options, Compute compute, Listener listener) {
    this.spec = spec;
    this.layer = layer;
    this.options = options;
    this.compute = compute;
    this.listener = listener;
    int routed = experts(spec, layer);
    experts = new ExpertSums(routed);
    nearest = NearestTokens.of(spec, layer, options);
    forced = new long[routed];
  }

  private static int experts(ModelSpec spec, int layer) {
    return layer < spec.layerCount()
            && spec.layers().get(layer) instanceof FeedForward.Experts routed
        ? routed.rule().experts()
        : 0;
  }

  public int layer() {
    return layer;
  }

  @Override
  public void input(List<Weight> weights, Matrix x) {
    site(weights.getFirst())
        .filter(_ -> isFirstReader(weights.getFirst()))
        .ifPresent(site -> add(site, x, heldOut(site, x.rows())));
  }

  /// Of the next rows that come to a site those held out: rows come in the order of their tokens.
  private BitSet heldOut(Site site, long rows) {
    InputSums before = sums.get(site);
    long first = before == null ? 0 : before.rows();
    OptionalInt expert = Sites.expert(site);
    return expert.isPresent()
        ? experts.held(expert.getAsInt(), first, rows)
        : options.heldOut().within(first, rows);
  }

  /// The layer's site that a weight reads; the embedding is the head where it is multiplied with.
  private Optional<Site> site(Weight weight) {
    Optional<Site> site =
        weight.role() instanceof TensorRole.Embedding
            ? Optional.of(new Site.HeadInput(spec.layerCount()))
            : Site.of(weight.role(), spec.layerCount());
    return site.filter(found -> found.layer() == layer);
  }

  /// The shared expert reads what the router has read before it.
  private static boolean isFirstReader(Weight weight) {
    return switch (weight.role()) {
      case TensorRole.SharedExpert shared ->
          switch (shared.projection()) {
            case GATE, UP -> false;
            case DOWN -> true;
          };
      default -> true;
    };
  }

  private void add(Site site, Matrix x, BitSet heldOut) {
    int channels = Math.toIntExact(x.cols());
    sums.computeIfAbsent(site, _ -> new InputSums(channels, Sites.expert(site).isEmpty()))
        .add(x, heldOut, compute);
    if (options.hessians().keeps(site)) {
      HessianSums own = hessians.computeIfAbsent(site, _ -> new HessianSums(channels));
      long done = 0;
      while (done < x.rows()) {
        int from = Math.toIntExact(done);
        boolean held = heldOut.get(from);
        int next = held ? heldOut.nextClearBit(from) : heldOut.nextSetBit(from);
        long end = next < 0 ? x.rows() : Math.min(next, x.rows());
        Matrix some = x.rows(done, end - done);
        if (!held) {
          own.add(some, compute);
        } else if (options.hessians().keepsHeldOut(site)) {
          heldOutHessians.computeIfAbsent(site, _ -> new HessianSums(channels)).add(some, compute);
        }
        done = end;
      }
    }
  }

  @Override
  public void routed(int at, Matrix input, long firstToken, Routing routing) {
    if (at == layer) {
      experts.add(routing, options.heldOut(), firstToken, input.rows());
    }
  }

  /// Tokens held out are not lent to any expert.
  @Override
  public void scored(int at, long token, float[] scores, Routing routing) {
    if (at == layer && !options.heldOut().has(token)) {
      nearest.add(token, scores, routing);
    }
  }

  /// As many as an expert lacks to the floor.
  @Override
  public int[] further(int at, int expert) {
    long missing = options.floor() - experts.tokens(expert);
    return at == layer && missing > 0
        ? nearest.choose(expert, Math.toIntExact(missing))
        : NO_TOKENS;
  }

  @Override
  public void further(Weight down, Matrix x) {
    site(down)
        .ifPresent(site -> {
          add(site, x, new BitSet());
          forced[Sites.expert(site).orElseThrow()] += x.rows();
        });
  }

  @Override
  public void done(List<Weight> weights) throws IOException {
    Set<Site> finished = new LinkedHashSet<>();
    weights.forEach(weight -> site(weight).ifPresent(finished::add));
    for (Site site : finished) {
      requireFinite(site);
      listener.finished(this, site);
    }
  }

  /// @throws BadInputException if a number was NaN or infinite
  void requireFinite() {
    sites().forEach(this::requireFinite);
  }

  private void requireFinite(Site site) {
    InputSums found = sums.get(site);
    if (found != null && !found.isFinite()) {
      throw new BadInputException(
          "layer " + layer + ", " + Sites.tensor(site),
          "numbers that are NaN or infinite",
          "finite numbers",
          "look for damaged weights in this layer and those before it: smelt check MODEL");
    }
  }

  /// All sites that were seen, in an order of their own.
  public List<Site> sites() {
    return sums.keySet().stream().sorted(Sites.ORDER).toList();
  }

  /// What was seen so far; empty for a site that no token came to.
  public Optional<InputStats> stats(Site site) {
    return Optional.ofNullable(sums.get(site)).map(InputSums::stats);
  }

  /// The Hessian of what was seen so far, where it is kept.
  ///
  /// @param memory `Matrix.bytes(channels, channels)` are taken from it
  public Optional<Hessian> hessian(Site site, SegmentAllocator memory) {
    return Optional.ofNullable(hessians.get(site)).map(found -> found.mean(compute, memory));
  }

  /// The same of the tokens held out.
  ///
  /// @param memory `Matrix.bytes(channels, channels)` are taken from it
  public Optional<Hessian> heldOutHessian(Site site, SegmentAllocator memory) {
    return Optional.ofNullable(heldOutHessians.get(site)).map(found -> found.mean(compute, memory));
  }

  /// Whether a site's Hessian is being summed.
  public boolean keepsHessian(Site site) {
    return hessians.containsKey(site);
  }

  /// The sums behind a Hessian, where it is kept.
  Optional<HessianSums> hessianSums(Site site) {
    return Optional.ofNullable(hessians.get(site));
  }

  /// The sums behind a Hessian of tokens held out, where it is kept.
  Optional<HessianSums> heldOutSums(Site site) {
    return Optional.ofNullable(heldOutHessians.get(site));
  }

  Compute compute() {
    return compute;
  }

  /// Gives the memory of a site's Hessians back.
  public void forget(Site site) {
    for (Map<Site, HessianSums> kept : List.of(hessians, heldOutHessians)) {
      HessianSums found = kept.remove(site);
      if (found != null) {
        found.close();
      }
    }
  }

  /// What the layer's experts saw so far.
  public Coverage coverage() {
    List<Coverage.Expert> found = new ArrayList<>();
    for (int expert = 0; expert < experts.experts(); expert++) {
      long tokens = experts.tokens(expert);
      found.add(
          new Coverage.Expert(
              tokens,
              experts.mass(expert),
              experts.squares(expert),
              forced[expert],
              tokens < options.floor() ? Coverage.Source.SHRUNK : Coverage.Source.OWN,
              down(tokens, forced[expert])));
    }
    return new Coverage(layer, experts.seen(), found);
  }

  private static Coverage.Source down(long tokens, long forced) {
    if (forced > 0) {
      return Coverage.Source.FORCED;
    }
    return tokens == 0 ? Coverage.Source.NONE : Coverage.Source.OWN;
  }

  @Override
  public void close() {
    for (Map<Site, HessianSums> kept : List.of(hessians, heldOutHessians)) {
      kept.values().forEach(HessianSums::close);
      kept.clear();
    }
  }
}
