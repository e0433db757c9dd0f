package smelt.converter.onepass;

import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.observe.HessianChoice;
import smelt.calibrate.observe.LayerObserver;
import smelt.calibrate.observe.Site;
import smelt.converter.ByteSize;
import smelt.converter.RefusedException;
import smelt.converter.run.MemoryPlan;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.verify.inference.VerifyPlan;

/// How much anonymous memory one pass takes at most, known before it starts.
///
/// | part | what it is |
/// |---|---|
/// | `conversion` | what a conversion takes by itself, tuning included |
/// | `model` | code and heap for running models and judging them |
/// | `held` | the largest part of the source, and the largest rest of a layer |
/// | `scratch` | of the source's model, for all tokens at once |
/// | `hidden` | hidden states of all tokens, and which experts a layer chose for them |
/// | `observed` | what is seen in a layer, second moments where they are needed |
/// | `verification` | of all targets that are verified, as if each was alone |
///
/// @param parts bytes by their names
public record PassMemory(SortedMap<String, Long> parts) {

  /// Code for running models and for text, beside what a conversion has.
  private static final long MODEL_BYTES = 64L << 20;

  private static final long RESERVE_PERCENT = 6;

  /// Rows of a product of second moments, and tokens that it is over.
  private static final long MOMENT_BLOCK = 768;

  /// Bytes of a channel: two extremes and a sum of squares.
  private static final long BYTES_PER_CHANNEL = 16;

  private static final long HISTOGRAM_BYTES = 1L << 16;

  /// @param observed how inputs are observed; empty where they are not
  /// @param verified plans of the targets that are verified
  static PassMemory of(
      MemoryPlan conversion,
      Checkpoint checkpoint,
      OnePass.Texts texts,
      Optional<LayerObserver.Options> observed,
      Collection<VerifyPlan> verified) {
    ModelSpec spec = ModelSpec.of(checkpoint);
    SortedMap<String, Long> parts = new TreeMap<>();
    parts.put("conversion", conversion.peak());
    parts.put("model", MODEL_BYTES);
    parts.put("held", HeldParts.bytes(checkpoint));
    parts.put("scratch", scratch(checkpoint, texts));
    parts.put(
        "hidden",
        Matrix.bytes(texts.tokens(), spec.hidden())
            + 2 * ReferenceModel.routingBytes(spec, texts.tokens()));
    parts.put("observed", observed.map(how -> observed(checkpoint, spec, how)).orElse(0L));
    parts.put(
        "verification",
        verified.stream().mapToLong(PassMemory::bytes).reduce(0, Math::addExact));
    long sum = parts.values().stream().mapToLong(Long::longValue).reduce(0, Math::addExact);
    parts.put("reserve", sum / 100 * RESERVE_PERCENT);
    return new PassMemory(parts);
  }

  /// Scratch memory of the source's model.
  static long scratch(Checkpoint checkpoint, OnePass.Texts texts) {
    return ReferenceModel.fullScratch(checkpoint, texts.tokens(), texts.longest());
  }

  /// A verification's memory without the program, which is counted once.
  private static long bytes(VerifyPlan plan) {
    return plan.peak() - plan.parts().get("program");
  }

  private static long observed(
      Checkpoint checkpoint, ModelSpec spec, LayerObserver.Options options) {
    Map<Integer, Long> sums = new HashMap<>();
    Map<Part, Long> moments = new HashMap<>();
    Map<Integer, Long> pools = new HashMap<>();
    Set<Site> seen = new HashSet<>();
    for (Weight weight : checkpoint.weights()) {
      Optional<Site> site = Site.of(weight.role(), spec.layerCount()).filter(seen::add);
      if (site.isEmpty()) {
        continue;
      }
      long channels = weight.shape().dim(1);
      sums.merge(
          site.get().layer(), BYTES_PER_CHANNEL * channels + HISTOGRAM_BYTES, Long::sum);
      if (options.hessians() != HessianChoice.NONE) {
        if (site.get() instanceof Site.FeedForwardInput) {
          pools.merge(site.get().layer(), momentBytes(channels), Long::sum);
        } else {
          moments.merge(Part.of(weight), momentBytes(channels), Long::sum);
        }
      }
    }
    return most(sums.values()) + most(moments.values()) + most(pools.values());
  }

  private static long momentBytes(long channels) {
    return Double.BYTES * Math.multiplyExact(channels, channels + 1) / 2
        + Matrix.bytes(MOMENT_BLOCK, channels);
  }

  private static long most(Collection<Long> values) {
    return values.stream().mapToLong(Long::longValue).max().orElse(0);
  }

  /// Bytes at most.
  public long peak() {
    return parts.values().stream().mapToLong(Long::longValue).reduce(0, Math::addExact);
  }

  /// @throws RefusedException if it is more than the run may take
  public void requireWithin(OptionalLong budget) {
    if (budget.isEmpty() || peak() <= budget.getAsLong()) {
      return;
    }
    List<String> named =
        parts.entrySet().stream()
            .map(part -> part.getKey() + " " + ByteSize.format(part.getValue()))
            .toList();
    throw new RefusedException(
        "--memory " + ByteSize.format(budget.getAsLong()),
        "one pass that takes up to "
            + ByteSize.format(peak())
            + " ("
            + String.join(", ", named)
            + ")",
        "at most " + ByteSize.format(budget.getAsLong()),
        "give at least that, take fewer tokens (--tokens, --eval-tokens), or work in steps:"
            + " smelt calibrate, smelt convert --calibration, smelt verify");
  }
}
