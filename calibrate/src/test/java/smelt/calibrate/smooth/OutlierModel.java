package smelt.calibrate.smooth;

import java.io.IOException;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// A copy of a model with outlier channels such as large models have, that computes the very same:
/// a few channels of every norm's gain, of what goes into `o`, and of what goes into every `down`
/// are multiplied by powers of two, and whatever reads them, the router too, is divided by them.
///
/// As in large models the channels of the norms that read hidden states are the same in all layers.
/// Of other places each has its own. Layers of multi-token prediction stay as they are.
public final class OutlierModel {

  /// One channel in so many is an outlier, and at least one.
  private static final int ONE_IN = 64;

  /// Exponents of the factors, in turn: 32, 64 and 128.
  private static final int[] EXPONENTS = {5, 7, 6};

  private static final long SEED = 20_241_210;

  private OutlierModel() {}

  /// Writes the copy, in the types of the model, which must be BF16 or F32.
  ///
  /// @return `folder`
  public static Path write(Path model, Path folder) throws IOException {
    return FoldedModel.write(model, outliers(model), FoldedModel.Form.AS_STORED, folder);
  }

  /// What is multiplied by what.
  static Folding outliers(Path model) throws IOException {
    try (ModelSource source = ModelSources.open(model)) {
      List<Coupling> all =
          Couplings.of(Checkpoint.open(source)).all(EnumSet.allOf(Pair.Kind.class));
      return Folding.combine(all.stream().map(c -> Folding.of(c, factors(c))).toList());
    }
  }

  /// A factor divides what produces a channel, so those of outliers are below 1.
  static float[] factors(Coupling coupling) {
    Random random = new Random(SEED ^ seed(coupling.pair()));
    float[] factors = new float[coupling.channels()];
    java.util.Arrays.fill(factors, 1);
    Set<Integer> outliers = new HashSet<>();
    for (int i = 0; i < Math.max(1, factors.length / ONE_IN); i++) {
      int channel = random.nextInt(factors.length);
      while (!outliers.add(channel)) {
        channel = random.nextInt(factors.length);
      }
      factors[channel] = Math.scalb(1f, -EXPONENTS[i % EXPONENTS.length]);
    }
    return factors;
  }

  private static long seed(Pair pair) {
    return switch (pair) {
      case Pair.InputNorm _, Pair.FeedForwardNorm _ -> 0;
      case Pair.QueryNorm(int layer) -> 1000L + layer;
      case Pair.LatentNorm(int layer) -> 2000L + layer;
      case Pair.ValueOutput(int layer) -> 3000L + layer;
      case Pair.DenseUpDown(int layer) -> 4000L + layer;
      case Pair.SharedUpDown(int layer) -> 5000L + layer;
      case Pair.ExpertUpDown(int layer, int expert) -> 1_000_000L * (layer + 1) + expert;
    };
  }
}
