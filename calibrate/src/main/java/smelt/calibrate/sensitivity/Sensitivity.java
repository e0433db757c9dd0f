package smelt.calibrate.sensitivity;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import smelt.calibrate.allocate.Choice;
import smelt.calibrate.allocate.Item;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.WeightRounding;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;

/// What parts of a model lose in the schemes that a target allows: the mean KL divergence from the
/// plain model, on some text, when that part alone is in that scheme. Weights are written in the
/// scheme and read again on the way, as a conversion would write them; inputs of linears are not
/// rounded.
///
/// Probes go through the model side by side, as many as memory allows; each such round reads the
/// source once for all, and each probe's own layer once more.
public final class Sensitivity {

  /// Memory for rounding beside what a weight takes at least.
  private static final long ROUNDING_BYTES = 8L << 20;

  private final ReferenceModel model;
  private final List<int[]> texts;
  private final int threads;
  private final long memory;

  /// @param model with scratch for all probes of a round, or they go in pieces
  /// @param texts token ids
  /// @param memory bytes of hidden states, logits and sums at most, if one probe fits
  public Sensitivity(ReferenceModel model, List<int[]> texts, int threads, long memory) {
    this.model = model;
    this.texts = List.copyOf(texts);
    this.threads = threads;
    this.memory = memory;
  }

  /// How many probes go side by side.
  public int probesOfRound() {
    long tokens = tokens();
    int hidden = model.spec().hidden();
    int vocabulary = model.spec().vocabulary();
    long none = ProbeRun.bytes(tokens, 0, hidden, vocabulary);
    long one = ProbeRun.bytes(tokens, 1, hidden, vocabulary) - none;
    return Math.clamp((memory - none) / one, 1, 1 << 20);
  }

  private long tokens() {
    return texts.stream().mapToLong(text -> text.length).sum();
  }

  /// Measures every part in every scheme.
  ///
  /// @param parts by layer
  /// @param progress told of each round of probes how many are done
  /// @return an item for each part, in their order
  public List<Item> measure(List<ModelPart> parts, List<Scheme> schemes, Consumer<Integer> progress)
      throws IOException {
    List<Probe> probes = new ArrayList<>();
    for (ModelPart part : parts) {
      for (Scheme scheme : schemes) {
        if (isRounded(part, scheme)) {
          probes.add(Probe.of(part, scheme));
        }
      }
    }
    List<Double> divergences = new ArrayList<>();
    int step = probesOfRound();
    for (int first = 0; first < probes.size(); first += step) {
      List<Probe> round = probes.subList(first, Math.min(first + step, probes.size()));
      for (double divergence : run(round, parts, schemes)) {
        divergences.add(divergence);
      }
      progress.accept(divergences.size());
    }
    return items(parts, schemes, divergences);
  }

  private static boolean isRounded(ModelPart part, Scheme scheme) {
    return part.weights().stream().anyMatch(weight -> scheme.rounding().apply(weight).isPresent());
  }

  private static List<Item> items(
      List<ModelPart> parts, List<Scheme> schemes, List<Double> divergences) {
    List<Item> items = new ArrayList<>();
    int next = 0;
    for (ModelPart part : parts) {
      List<Choice> choices = new ArrayList<>();
      for (Scheme scheme : schemes) {
        double error = isRounded(part, scheme) ? divergences.get(next++) : 0;
        choices.add(new Choice(scheme.name(), scheme.bytes(part), error));
      }
      items.add(Item.of(part.name(), choices));
    }
    return items;
  }

  /// Measures all parts in schemes of their own, together.
  public double measure(Map<ModelPart, Scheme> schemes) throws IOException {
    Probe all = Probe.of(schemes, model.spec().layerCount());
    return run(List.of(all), List.copyOf(schemes.keySet()), List.copyOf(schemes.values()))[0];
  }

  private double[] run(List<Probe> probes, List<ModelPart> parts, List<Scheme> schemes)
      throws IOException {
    long least = 0;
    for (ModelPart part : parts) {
      for (Weight weight : part.weights()) {
        for (Scheme scheme : schemes) {
          Optional<Encoding> encoding = scheme.rounding().apply(weight);
          if (encoding.isPresent()) {
            least = Math.max(least, WeightRounding.leastBytes(weight, encoding.get()));
          }
        }
      }
    }
    try (Arena arena = Arena.ofShared()) {
      MemorySegment rounding = arena.allocate(least + ROUNDING_BYTES, 64);
      return new ProbeRun(model, texts, probes, rounding, threads).divergences();
    }
  }
}
