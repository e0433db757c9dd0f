package smelt.calibrate.observe;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.LayerOptions;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.model.Observer;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.Routing;
import smelt.calibrate.model.TokenBatch;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// A run of a small model under observation.
final class ObservedRun {

  private ObservedRun() {}

  static final Path MODEL = Checkout.root().resolve("samples/tiny-deepseek-v3");
  static final Path SMALL =
      Checkout.root().resolve("calibrate/src/test/resources/models/qwen3-moe/model");

  /// What is done with the observer of each layer, and with that of the head.
  @FunctionalInterface
  interface Use {
    void use(LayerObserver observer) throws IOException;
  }

  /// Keeps all rows that it is shown, by the site.
  static final class Keeping implements Observer {
    final Map<Site, List<float[]>> rows = new HashMap<>();

    /// Tokens of the rows of each expert.
    final Map<Site, List<Integer>> tokens = new HashMap<>();

    private final int layers;

    Keeping(int layers) {
      this.layers = layers;
    }

    @Override
    public void input(List<Weight> weights, Matrix x) {
      TensorRole role = weights.getFirst().role();
      boolean again =
          role instanceof TensorRole.SharedExpert shared
              && shared.projection() != smelt.formats.checkpoint.Projection.DOWN;
      Site site = Site.of(role, layers).orElse(new Site.HeadInput(layers));
      if (!again) {
        List<float[]> to = rows.computeIfAbsent(site, _ -> new ArrayList<>());
        for (long i = 0; i < x.rows(); i++) {
          float[] row = new float[Math.toIntExact(x.cols())];
          MemorySegment.copy(x.data(), Matrix.F32, x.at(i, 0), row, 0, row.length);
          to.add(row);
        }
      }
    }

    @Override
    public void routed(int layer, Matrix input, long firstToken, Routing routing) {
      for (long token = firstToken; token < firstToken + input.rows(); token++) {
        for (int rank = 0; rank < routing.k(); rank++) {
          Site site = new Site.ExpertInput(layer, routing.expert(token, rank));
          tokens.computeIfAbsent(site, _ -> new ArrayList<>()).add(Math.toIntExact(token));
        }
      }
    }
  }

  /// Shows everything to two observers.
  record Both(Observer one, Observer other) implements Observer {
    @Override
    public void input(List<Weight> weights, Matrix x) throws IOException {
      one.input(weights, x);
      other.input(weights, x);
    }

    @Override
    public void routed(int layer, Matrix input, long firstToken, Routing routing)
        throws IOException {
      one.routed(layer, input, firstToken, routing);
      other.routed(layer, input, firstToken, routing);
    }

    @Override
    public void done(List<Weight> weights) throws IOException {
      one.done(weights);
      other.done(weights);
    }
  }

  static List<int[]> sequences(int vocabulary) {
    Random random = new Random(11);
    return List.of(
        random.ints(40, 0, vocabulary).toArray(),
        random.ints(31, 0, vocabulary).toArray(),
        random.ints(40, 0, vocabulary).toArray());
  }

  /// How a model is run.
  record Setup(
      Path model, int threads, boolean littleMemory, HessianChoice hessians, boolean holding) {
    /// Without tokens held out.
    Setup(Path model, int threads, boolean littleMemory, HessianChoice hessians) {
      this(model, threads, littleMemory, hessians, false);
    }

    Setup(Path model) {
      this(model, 2, false, HessianChoice.ALL);
    }

    /// The same with the second sequence held out, which is the shortest.
    Setup held() {
      return new Setup(model, threads, littleMemory, hessians, true);
    }

    private LayerObserver.Options options() {
      HeldOut heldOut = holding ? HeldOut.of(sequences(1000), List.of(0, 1, 2)) : HeldOut.NONE;
      return new LayerObserver.Options(hessians, 128).holding(heldOut);
    }
  }

  /// Runs a model and shows the observer of each layer when the layer is done.
  static Keeping run(Setup setup, Use use) throws IOException {
    try (ModelSource source = ModelSources.open(setup.model());
        Compute compute =
            Compute.steady(
                MathKernelSet.choose("auto"), KernelSet.choose("auto"), setup.threads());
        Arena arena = Arena.ofShared()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      long scratch = setup.littleMemory() ? ReferenceModel.leastScratch(checkpoint, 40) : 64L << 20;
      try (ReferenceModel model = ReferenceModel.open(checkpoint, source, compute, scratch)) {
        return run(model, setup, compute, arena, use);
      }
    }
  }

  private static Keeping run(
      ReferenceModel model, Setup setup, Compute compute, Arena arena, Use use) throws IOException {
    ModelSpec spec = model.spec();
    Keeping keeping = new Keeping(spec.layerCount());
    TokenBatch batch = TokenBatch.of(arena, sequences(spec.vocabulary()), spec.hidden());
    model.embed(batch);
    for (int layer = 0; layer <= spec.layerCount(); layer++) {
      LayerObserver.Options options = setup.options();
      try (LayerObserver observer =
          new LayerObserver(spec, layer, options, compute, LayerObserver.Listener.NONE)) {
        LayerOptions observed = LayerOptions.observed(new Both(observer, keeping));
        if (layer < spec.layerCount()) {
          var _ = model.layer(layer, batch, observed);
        } else {
          model.norm(batch);
          Matrix logits = Matrix.zeros(arena, batch.tokens(), 8);
          model.logits(batch.hidden(), 0, 8, observed, logits);
        }
        use.use(observer);
      }
    }
    return keeping;
  }

  /// Runs a model and shows its layers to an observer.
  static void watch(Path folder, Observer observer) throws IOException {
    try (ModelSource source = ModelSources.open(folder);
        Compute compute =
            Compute.steady(MathKernelSet.choose("auto"), KernelSet.choose("auto"), 2);
        Arena arena = Arena.ofShared()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      try (ReferenceModel model = ReferenceModel.open(checkpoint, source, compute, 64L << 20)) {
        ModelSpec spec = model.spec();
        TokenBatch batch = TokenBatch.of(arena, sequences(spec.vocabulary()), spec.hidden());
        model.embed(batch);
        for (int layer = 0; layer < spec.layerCount(); layer++) {
          var _ = model.layer(layer, batch, LayerOptions.observed(observer));
        }
      }
    }
  }
}
