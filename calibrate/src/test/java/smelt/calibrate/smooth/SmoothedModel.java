package smelt.calibrate.smooth;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.TokenBatch;
import smelt.calibrate.model.WeightStream;
import smelt.calibrate.observe.InputStats;
import smelt.calibrate.observe.Site;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// A copy of a model, in the same types, that is smoothed before it is quantized: what sites see is
/// measured on some sequences.
public final class SmoothedModel {

  private SmoothedModel() {}

  /// What is asked for.
  ///
  /// @param exact factors are powers of two, so that the copy computes the very same; with others
  ///   its BF16 weights are rounded once more
  public record Wanted(Set<Pair.Kind> kinds, Strength strength, boolean exact) {}

  /// @return `folder`
  public static Path write(Path model, List<int[]> sequences, Wanted wanted, Path folder)
      throws IOException {
    List<Smoothing> chosen = choose(model, sequences, wanted);
    Folding folding = Folding.combine(chosen.stream().map(Smoothing::folding).toList());
    FoldedModel.Form form = wanted.exact() ? FoldedModel.Form.AS_STORED : FoldedModel.Form.ROUNDED;
    return FoldedModel.write(model, folding, form, folder);
  }

  /// The factors of all pairs; all linears but router and indexer count as rounded.
  static List<Smoothing> choose(Path model, List<int[]> sequences, Wanted wanted)
      throws IOException {
    try (ModelSource source = ModelSources.open(model);
        Arena arena = Arena.ofConfined();
        WeightStream stream = new WeightStream(source, arena.allocate(1 << 20))) {
      Checkpoint checkpoint = Checkpoint.open(source);
      Map<Site, InputStats> seen = observe(checkpoint, source, sequences);
      List<Smoothing> chosen = new ArrayList<>();
      for (Coupling coupling : Couplings.of(checkpoint).all(wanted.kinds())) {
        List<ColumnStats> rounded = new ArrayList<>();
        int sampled = ColumnStats.sampledRows(coupling.consumers().size());
        for (Weight weight : coupling.consumers()) {
          if (isRounded(weight.role())) {
            rounded.add(ColumnStats.read(weight, stream, KernelSet.choose("auto"), sampled));
          }
        }
        InputStats input = seen.get(coupling.pair().site());
        if (input != null) {
          chosen.add(Smoothing.choose(coupling, input, rounded, wanted.strength(), wanted.exact()));
        }
      }
      return chosen;
    }
  }

  private static boolean isRounded(TensorRole role) {
    return !(role instanceof TensorRole.Router) && !(role instanceof TensorRole.Indexer);
  }

  /// What every site sees.
  static Map<Site, InputStats> observe(
      Checkpoint checkpoint, ModelSource source, List<int[]> sequences) throws IOException {
    int longest = sequences.stream().mapToInt(ids -> ids.length).max().orElseThrow();
    long tokens = sequences.stream().mapToLong(ids -> ids.length).sum();
    long scratch = ReferenceModel.fullScratch(checkpoint, tokens, longest);
    try (Compute compute = new Compute(MathKernelSet.choose("auto"), KernelSet.choose("auto"), 2);
        Arena arena = Arena.ofShared();
        ReferenceModel model = ReferenceModel.open(checkpoint, source, compute, scratch)) {
      SiteInputs inputs = new SiteInputs(model.spec().layerCount());
      TokenBatch batch = TokenBatch.of(arena, sequences, model.spec().hidden());
      model.embed(batch);
      for (int layer = 0; layer < model.spec().layerCount(); layer++) {
        model.layer(layer, batch, LayerOptions.observed(inputs));
      }
      return inputs.stats();
    }
  }
}
