package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// What must not change a result, for every architecture. Sequences go through a layer together but
/// do not see each other, and a token does not see those behind it: with scalar kernels the numbers
/// must be equal to the last bit. The number of an expert decides in which order sums are formed,
/// so there they may differ by roundings.
class PlantedInvarianceTest {

  /// Which expert is put at a number: groups of two stay together but change places.
  private static final int[] ORDER = {5, 4, 1, 0, 6, 7, 3, 2};

  private static final Pattern EXPERT = Pattern.compile("(.*\\.experts\\.)([0-7])(\\..*)");
  private static final double ROUNDINGS = 1e-4;

  @TempDir private Path temporary;

  static List<String> models() {
    return Planted.NAMES;
  }

  static List<String> withExperts() {
    return Planted.NAMES.stream().filter(n -> !n.equals("qwen2") && !n.equals("llama")).toList();
  }

  @ParameterizedTest
  @MethodSource("models")
  void sequencesOfABatchDoNotSeeEachOther(String name) throws IOException {
    Planted planted = Planted.of(name);
    List<int[]> sequences = planted.sequences();
    float[][] together = Planted.runScalar(planted.model(), sequences).logits();
    int first = 0;
    for (int[] sequence : sequences) {
      float[][] alone = Planted.runScalar(planted.model(), List.of(sequence)).logits();
      assertThat(Arrays.copyOfRange(together, first, first + alone.length)).isDeepEqualTo(alone);
      first += alone.length;
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void aTokenDoesNotSeeThoseBehindIt(String name) throws IOException {
    Planted planted = Planted.of(name);
    int[] ids = planted.sequences().getFirst();
    int shared = 25;
    int[] others = ids.clone();
    for (int i = shared; i < others.length; i++) {
      others[i] = (ids[i] + 1 + i) % 48;
    }
    float[][] logits = Planted.runScalar(planted.model(), List.of(ids)).logits();
    float[][] changed = Planted.runScalar(planted.model(), List.of(others)).logits();
    float[][] prefix =
        Planted.runScalar(planted.model(), List.of(Arrays.copyOf(ids, shared))).logits();
    assertThat(Arrays.copyOf(changed, shared)).isDeepEqualTo(Arrays.copyOf(logits, shared));
    assertThat(prefix).isDeepEqualTo(Arrays.copyOf(logits, shared));
    assertThat(changed[shared]).isNotEqualTo(logits[shared]);
  }

  @ParameterizedTest
  @MethodSource("models")
  void aTokenSeesWhereThoseBeforeItStand(String name) throws IOException {
    Planted planted = Planted.of(name);
    int[] ids = planted.sequences().getFirst();
    int[] exchanged = ids.clone();
    exchanged[0] = ids[9];
    exchanged[9] = ids[0];
    assertThat(ids[0]).isNotEqualTo(ids[9]);
    float[][] logits = Planted.run(planted.model(), List.of(ids)).logits();
    float[][] other = Planted.run(planted.model(), List.of(exchanged)).logits();
    int last = ids.length - 1;
    assertThat(distance(logits[last], other[last])).isGreaterThan(100 * ROUNDINGS);
  }

  @ParameterizedTest
  @MethodSource("withExperts")
  void theNumbersOfExpertsAreOnlyNames(String name) throws IOException {
    Planted planted = Planted.of(name);
    TensorFile weights = TensorFile.read(planted.model().resolve("model.safetensors"));
    Path folder = planted.withWeights(temporary.resolve("permuted"), permuted(weights));
    SampleRun run = Planted.run(planted.model(), planted.sequences());
    SampleRun other = Planted.run(folder, planted.sequences());
    for (int token = 0; token < run.logits().length; token++) {
      assertThat(distance(run.logits()[token], other.logits()[token])).isLessThan(ROUNDINGS);
    }
    for (int layer = 0; layer < run.routings().size(); layer++) {
      assertRenamed(run.routings().get(layer), other.routings().get(layer));
    }
  }

  private static void assertRenamed(Routing original, Routing renamed) {
    for (long token = 0; token < original.tokens(); token++) {
      for (int rank = 0; rank < original.k(); rank++) {
        assertThat(ORDER[renamed.expert(token, rank)]).isEqualTo(original.expert(token, rank));
      }
    }
  }

  private static TensorFile permuted(TensorFile file) {
    Map<String, TensorFile.Tensor> out = new LinkedHashMap<>(file.tensors());
    file.tensors()
        .forEach((name, tensor) -> {
          Matcher expert = EXPERT.matcher(name);
          if (expert.matches()) {
            int source = ORDER[Integer.parseInt(expert.group(2))];
            out.put(name, file.tensors().get(expert.group(1) + source + expert.group(3)));
          } else if (name.endsWith(".gate.weight") || name.endsWith("e_score_correction_bias")) {
            out.put(name, tensor.reordered(ORDER));
          }
        });
    return new TensorFile(out);
  }

  private static double distance(float[] a, float[] b) {
    double worst = 0;
    for (int i = 0; i < a.length; i++) {
      worst = Math.max(worst, Math.abs(a[i] - b[i]));
    }
    return worst;
  }
}
