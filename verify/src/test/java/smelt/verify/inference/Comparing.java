package smelt.verify.inference;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.model.Activations;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.Routing;
import smelt.calibrate.model.TokenBatch;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// A comparison inside the test's own process.
record Comparing(Path model, Path result, Activations activations, int threads, int headRows) {

  private static final long SCRATCH = 32L << 20;

  static Comparing of(Path model, Path result) {
    return new Comparing(model, result, Activations.NONE, 2, 512);
  }

  Comparing headRows(int rows) {
    return new Comparing(model, result, activations, threads, rows);
  }

  Comparing threads(int count) {
    return new Comparing(model, result, activations, count, headRows);
  }

  static Path sample(String name) {
    return Checkout.root().resolve("samples").resolve(name);
  }

  /// Texts of random ids.
  static List<int[]> texts(int count, int length) {
    Random random = new Random(11);
    List<int[]> texts = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      texts.add(random.ints(length, 2, 1536).toArray());
    }
    return texts;
  }

  /// Compares in rounds.
  Comparison run(List<List<int[]>> rounds) throws IOException, InterruptedException {
    try (ModelSource from = ModelSources.open(model);
        ModelSource to = ModelSources.open(result);
        Compute compute =
            Compute.steady(MathKernelSet.choose("auto"), KernelSet.choose("auto"), threads);
        ReferenceModel a = ReferenceModel.open(Checkpoint.open(from), from, compute, SCRATCH);
        ReferenceModel b = ReferenceModel.open(Checkpoint.open(to), to, compute, SCRATCH)) {
      Comparison comparison =
          new Comparison(
              a,
              b,
              new Comparison.Settings(activations, OptionalInt.of(1), headRows, threads),
              () -> {});
      for (List<int[]> round : rounds) {
        comparison.add(round);
      }
      return comparison;
    }
  }

  /// Several comparisons that follow one source, which runs other texts before these in the same
  /// batch.
  List<Comparison> follow(List<int[]> before, List<int[]> texts, int count)
      throws IOException, InterruptedException {
    List<int[]> all = new ArrayList<>(before);
    all.addAll(texts);
    try (ModelSource from = ModelSources.open(model);
        ModelSource to = ModelSources.open(result);
        Arena arena = Arena.ofShared();
        Compute compute =
            Compute.steady(MathKernelSet.choose("auto"), KernelSet.choose("auto"), threads);
        ReferenceModel a = ReferenceModel.open(Checkpoint.open(from), from, compute, SCRATCH);
        ReferenceModel b = ReferenceModel.open(Checkpoint.open(to), to, compute, SCRATCH)) {
      TokenBatch batch = TokenBatch.of(arena, all, a.spec().hidden());
      TokenBatch own = batch.part(before.size(), batch.sequences());
      List<Comparison> comparisons = new ArrayList<>();
      List<Comparison.Following> followers = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        Comparison comparison =
            new Comparison(
                a,
                b,
                new Comparison.Settings(activations, OptionalInt.of(1), headRows, threads),
                () -> {});
        comparisons.add(comparison);
        followers.add(comparison.follow(own, texts));
      }
      a.embed(batch);
      for (Comparison.Following follower : followers) {
        follower.embed();
      }
      for (int layer = 0; layer < a.spec().layerCount(); layer++) {
        followers.forEach(Comparison.Following::beforeLayer);
        Optional<Routing> chosen =
            a.layer(layer, batch, LayerOptions.PLAIN).map(r -> r.from(batch.first(before.size())));
        for (Comparison.Following follower : followers) {
          follower.layer(layer, chosen);
        }
      }
      a.norm(batch);
      for (Comparison.Following follower : followers) {
        follower.head();
        follower.close();
      }
      return comparisons;
    }
  }
}
