package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.formats.BadInputException;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import tools.jackson.databind.JsonNode;

/// A sequence read piece by piece against the same sequence read as a whole.
class DecoderTest {

  /// Both compute the same in F32 in another order; logits of the sample have a standard deviation
  /// of 3.6.
  private static final double CLOSE = 2e-4;

  /// As for a whole sequence of these models, see [PlantedModelsTest].
  private static final double PLANTED = 1e-4;

  @ParameterizedTest
  @ValueSource(strings = {"tiny-deepseek-v3", "tiny-deepseek-v3-fp8"})
  void readingTokenByTokenAgreesWithReadingTheWhole(String name) throws IOException {
    int[] ids = new Random(3).ints(150, 3, 1536).toArray();
    float[][] whole = SampleRun.of(sample(name), List.of(ids)).logits();
    int[] single = new int[ids.length];
    Arrays.fill(single, 1);
    assertClose(decode(sample(name), ids, Long.MAX_VALUE, single), whole);
  }

  @Test
  void piecesOfAnySizeAgreeWithTheWhole() throws IOException {
    String name = "tiny-deepseek-v3";
    int[] ids = new Random(4).ints(100, 3, 1536).toArray();
    float[][] whole = SampleRun.of(sample(name), List.of(ids)).logits();
    assertClose(decode(sample(name), ids, Long.MAX_VALUE, 100), whole);
    assertClose(decode(sample(name), ids, Long.MAX_VALUE, 1, 32, 7, 59, 1), whole);
    long little = 512 << 10;
    assertClose(decode(sample(name), ids, little, 100), whole);
  }

  @ParameterizedTest
  @MethodSource("planted")
  void everyArchitectureDecodesAsAnIndependentImplementationComputes(String name)
      throws IOException {
    Planted planted = Planted.of(name);
    for (int s = 0; s < planted.sequences().size(); s++) {
      int[] ids = planted.sequences().get(s);
      double[][] expected = planted.expected().numbers("logits." + s).orElseThrow();
      int[] single = new int[ids.length];
      Arrays.fill(single, 1);
      assertClose(decode(planted.model(), ids, Long.MAX_VALUE, single), expected, PLANTED);
      int half = ids.length / 2;
      int[] halves = IntStream.of(half, ids.length - half).filter(n -> n > 0).toArray();
      assertClose(decode(planted.model(), ids, Long.MAX_VALUE, halves), expected, PLANTED);
    }
  }

  static List<String> planted() {
    return Planted.NAMES;
  }

  @Test
  void greedyTokensAreTheGoldenOnes() throws IOException {
    JsonNode golden = Golden.tinyDeepSeek().json("bf16/greedy.json");
    int[] prompt = ints(golden.path("prompt"));
    int[] expected = ints(golden.path("generated"));
    List<Integer> generated = new ArrayList<>();
    try (Session session = new Session(sample("tiny-deepseek-v3"), 128, Long.MAX_VALUE);
        Arena arena = Arena.ofShared()) {
      Matrix logits = Matrix.zeros(arena, 1, session.model.spec().vocabulary());
      Sampler sampler = new Sampler(new Sampler.Sampling.Greedy());
      int[] next = prompt;
      for (int i = 0; i < expected.length; i++) {
        session.decoder.append(next, logits);
        float[] row = SampleRun.copy(logits)[0];
        next = new int[] {sampler.next(row)};
        generated.add(next[0]);
        float[] sorted = row.clone();
        Arrays.sort(sorted);
        double gap = sorted[sorted.length - 1] - sorted[sorted.length - 2];
        assertThat(Math.abs(gap - golden.path("top1_top2_logit_gap").path(i).doubleValue()))
            .as("gap of token %d", i)
            .isLessThan(2 * CLOSE);
      }
    }
    assertThat(generated.stream().mapToInt(i -> i).toArray()).isEqualTo(expected);
  }

  @Test
  void theCacheHoldsTheCompressedFormOnly() throws IOException {
    try (Session session = new Session(sample("tiny-deepseek-v3"), 512, Long.MAX_VALUE)) {
      ModelSpec spec = session.model.spec();
      long ropeTables = RopeTables.bytes(spec.rope(), 512);
      assertThat(Decoder.cacheBytes(spec, 512)).isEqualTo(4L * 512 * (128 + 32) * 4 + ropeTables);
    }
  }

  @Test
  void moreThanTheCapacityAndForeignIdsAreRefused() throws IOException {
    try (Session session = new Session(sample("tiny-deepseek-v3"), 4, Long.MAX_VALUE);
        Arena arena = Arena.ofShared()) {
      Matrix logits = Matrix.zeros(arena, 1, session.model.spec().vocabulary());
      assertThatThrownBy(() -> session.decoder.append(new int[] {1, 1536}, logits))
          .isInstanceOf(BadInputException.class);
      session.decoder.append(new int[] {5, 6, 7}, logits);
      assertThat(session.decoder.length()).isEqualTo(3);
      assertThatThrownBy(() -> session.decoder.append(new int[] {8, 9}, logits))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("2 tokens behind 3 of 4");
      session.decoder.append(new int[] {8}, logits);
    }
  }

  /// Logits of all tokens, read in pieces of these sizes.
  private static float[][] decode(Path folder, int[] ids, long scratch, int... sizes)
      throws IOException {
    List<float[]> rows = new ArrayList<>();
    try (Session session = new Session(folder, ids.length, scratch)) {
      int first = 0;
      for (int size : sizes) {
        try (Arena arena = Arena.ofShared()) {
          Matrix logits = Matrix.zeros(arena, size, session.model.spec().vocabulary());
          session.decoder.append(Arrays.copyOfRange(ids, first, first + size), logits);
          rows.addAll(List.of(SampleRun.copy(logits)));
          first += size;
        }
      }
    }
    return rows.toArray(float[][]::new);
  }

  private static void assertClose(float[][] pieces, float[][] whole) {
    assertClose(
        pieces,
        Arrays.stream(whole)
            .map(row -> IntStream.range(0, row.length).mapToDouble(i -> row[i]).toArray())
            .toArray(double[][]::new),
        CLOSE);
  }

  private static void assertClose(float[][] pieces, double[][] whole, double bound) {
    assertThat(pieces.length).isEqualTo(whole.length);
    for (int token = 0; token < whole.length; token++) {
      double worst = 0;
      for (int id = 0; id < whole[token].length; id++) {
        worst = Math.max(worst, Math.abs(whole[token][id] - pieces[token][id]));
      }
      assertThat(worst).as("logits of token %d", token).isLessThan(bound);
    }
  }

  private static int[] ints(JsonNode array) {
    return array.valueStream().mapToInt(JsonNode::intValue).toArray();
  }

  private static Path sample(String name) {
    return Checkout.root().resolve("samples").resolve(name);
  }

  /// A model and a decoder of it.
  private static final class Session implements AutoCloseable {
    private final ModelSource source;
    private final Compute compute;
    private final ReferenceModel model;
    private final Decoder decoder;

    Session(Path folder, int capacity, long scratch) throws IOException {
      source = ModelSources.open(folder);
      Checkpoint checkpoint = Checkpoint.open(source);
      compute = new Compute(MathKernelSet.choose("auto"), KernelSet.choose("auto"), 2);
      long enough = Decoder.scratchBytes(checkpoint, Math.min(capacity, 100));
      model = ReferenceModel.open(checkpoint, source, compute, Math.min(scratch, enough));
      decoder = Decoder.open(model, capacity);
    }

    @Override
    public void close() throws IOException {
      decoder.close();
      model.close();
      compute.close();
      source.close();
    }
  }
}
