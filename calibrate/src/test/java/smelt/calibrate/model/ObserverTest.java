package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.SampleRun.Setup;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class ObserverTest {

  private static final long SCRATCH = 64L << 20;

  /// Keeps all that it is shown.
  private static final class Keeping implements Observer {
    final Map<TensorRole, List<float[]>> inputs = new HashMap<>();
    final Map<Integer, List<float[]>> routed = new HashMap<>();
    final Map<Integer, Routing> routings = new HashMap<>();
    final Set<TensorRole> done = new HashSet<>();

    @Override
    public void input(List<Weight> weights, Matrix x) {
      for (Weight weight : weights) {
        assertThat(x.cols()).isEqualTo(WeightStream.cols(weight));
        assertThat(done).as("observed before it is done").doesNotContain(weight.role());
        inputs
            .computeIfAbsent(weight.role(), _ -> new ArrayList<>())
            .addAll(List.of(SampleRun.copy(x)));
      }
    }

    @Override
    public void routed(int layer, Matrix input, long firstToken, Routing routing) {
      List<float[]> rows = routed.computeIfAbsent(layer, _ -> new ArrayList<>());
      assertThat(firstToken).isEqualTo(rows.size());
      rows.addAll(List.of(SampleRun.copy(input)));
      routings.put(layer, routing);
    }

    @Override
    public void done(List<Weight> weights) {
      weights.forEach(weight -> done.add(weight.role()));
    }
  }

  static Stream<Path> models() throws IOException {
    Path samples = Checkout.root().resolve("samples");
    List<Path> models = new ArrayList<>();
    models.add(samples.resolve("tiny-deepseek-v3"));
    for (String name : List.of("deepseek-v2-lite", "qwen3-moe", "qwen2", "llama")) {
      models.add(Planted.of(name).model());
    }
    return models.stream();
  }

  private static List<int[]> sequences() {
    Random random = new Random(3);
    return List.of(random.ints(30, 0, 48).toArray(), random.ints(21, 0, 48).toArray());
  }

  @ParameterizedTest
  @MethodSource("models")
  void changesNothing(Path model) throws IOException {
    SampleRun plain = SampleRun.of(model, sequences(), Setup.PLAIN);
    SampleRun observed = run(model, new Keeping(), SCRATCH);
    assertThat(observed.logits()).isDeepEqualTo(plain.logits());
    assertThat(observed.bytesRead()).isEqualTo(plain.bytesRead());
  }

  @ParameterizedTest
  @MethodSource("models")
  void seesTheInputOfEveryLinearOnceForEachToken(Path model) throws IOException {
    Keeping seen = new Keeping();
    SampleRun run = run(model, seen, SCRATCH);
    int tokens = run.logits().length;
    for (Weight weight : open(model).weights()) {
      int rows = seen.inputs.getOrDefault(weight.role(), List.of()).size();
      if (weight.role() instanceof TensorRole.RoutedExpert expert) {
        assertThat(rows).as(weight.name()).isEqualTo(chosen(seen, expert));
      } else if (smelt.calibrate.observe.Site.of(weight.role(), layers(model)).isPresent()) {
        assertThat(rows).as(weight.name()).isEqualTo(tokens);
      }
    }
    TensorRole head =
        seen.inputs.containsKey(new TensorRole.Head())
            ? new TensorRole.Head()
            : new TensorRole.Embedding();
    assertThat(matrix(seen.inputs.get(head))).isDeepEqualTo(run.finalHidden());
  }

  @ParameterizedTest
  @MethodSource("models")
  void anExpertReadsWhatTheRouterReadOfItsTokens(Path model) throws IOException {
    Keeping seen = new Keeping();
    var _ = run(model, seen, SCRATCH);
    seen.inputs.forEach((role, rows) -> {
      if (role instanceof TensorRole.RoutedExpert expert
          && expert.projection() != smelt.formats.checkpoint.Projection.DOWN) {
        List<float[]> all = seen.routed.get(expert.layerIndex());
        assertThat(matrix(all))
            .isDeepEqualTo(matrix(seen.inputs.get(new TensorRole.Router(expert.layerIndex()))));
        List<float[]> own = new ArrayList<>();
        Routing routing = seen.routings.get(expert.layerIndex());
        for (int token = 0; token < all.size(); token++) {
          for (int rank = 0; rank < routing.k(); rank++) {
            if (routing.expert(token, rank) == expert.expert()) {
              own.add(all.get(token));
            }
          }
        }
        assertThat(matrix(rows)).as(role.toString()).isDeepEqualTo(matrix(own));
      }
    });
  }

  @ParameterizedTest
  @MethodSource("models")
  void hearsWhenAPartIsDone(Path model) throws IOException {
    Keeping seen = new Keeping();
    var _ = run(model, seen, SCRATCH);
    Set<TensorRole> parts = new HashSet<>(seen.inputs.keySet());
    parts.removeIf(role ->
        role instanceof TensorRole.Head
            || role instanceof TensorRole.Embedding
            || role instanceof TensorRole.Router);
    assertThat(seen.done).isEqualTo(parts);
  }

  private static float[][] matrix(List<float[]> rows) {
    return rows.toArray(float[][]::new);
  }

  private static int chosen(Keeping seen, TensorRole.RoutedExpert expert) {
    Routing routing = seen.routings.get(expert.layerIndex());
    int count = 0;
    for (long token = 0; token < (routing == null ? 0 : routing.tokens()); token++) {
      for (int rank = 0; rank < routing.k(); rank++) {
        count += routing.expert(token, rank) == expert.expert() ? 1 : 0;
      }
    }
    return count;
  }

  private static int layers(Path model) throws IOException {
    return ModelSpec.of(open(model)).layerCount();
  }

  private static SampleRun run(Path model, Observer observer, long scratch) throws IOException {
    return SampleRun.of(
        model, sequences(), Setup.PLAIN.options(LayerOptions.observed(observer)).scratch(scratch));
  }

  private static Checkpoint open(Path folder) throws IOException {
    try (ModelSource source = ModelSources.open(folder)) {
      return Checkpoint.open(source);
    }
  }
}
