package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.observe.Coverage;
import smelt.calibrate.observe.HessianChoice;
import smelt.calibrate.observe.Importance;
import smelt.calibrate.observe.LayerObserver;
import smelt.calibrate.observe.Site;
import smelt.calibrate.observe.TableIndex;
import smelt.calibrate.pass.CalibratePlan;
import smelt.calibrate.pass.Calibration;
import smelt.calibrate.text.Corpus;
import smelt.calibrate.text.SequenceCut;
import smelt.calibrate.text.SpecialTokens;
import smelt.calibrate.text.TokenSequences;
import smelt.calibrate.text.Tokenizer;
import smelt.formats.Checkout;
import smelt.formats.ElementType;
import smelt.formats.Share;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// A router that was changed so that a twentieth of the experts get no token. Their INT4 weights,
/// with scales chosen by the importance that a calibration gives them, against those that a
/// calibration gives that sends every token through every expert.
class StarvedExpertsTest {

  private static final Path MODEL = Checkout.root().resolve("samples/tiny-deepseek-v3");
  private static final Path CORPORA = Checkout.root().resolve("samples/corpora");
  private static final int LENGTH = 256;
  private static final int GROUP = 32;
  private static final int FLOOR = 128;

  /// One in each layer with experts: 3 of 48.
  private static final Map<Integer, Integer> STARVED = Map.of(1, 3, 2, 7, 3, 12);

  @TempDir private Path folder;

  /// An expert's weights, each `[rows][cols]`.
  @SuppressWarnings("ArrayRecordComponent")
  private record Expert(float[][] gate, float[][] up, float[][] down) {

    float[] inner(float[] x) {
      float[] h = new float[gate.length];
      for (int i = 0; i < h.length; i++) {
        double g = dot(gate[i], x);
        h[i] = (float) (g / (1 + Math.exp(-g)) * dot(up[i], x));
      }
      return h;
    }

    double[] output(float[] x) {
      float[] h = inner(x);
      return Arrays.stream(down).mapToDouble(row -> dot(row, h)).toArray();
    }

    private static double dot(float[] a, float[] b) {
      double sum = 0;
      for (int i = 0; i < a.length; i++) {
        sum += (double) a[i] * b[i];
      }
      return sum;
    }

    /// The same with INT4 weights.
    Expert rounded(float[] input, float[] inner) {
      return new Expert(int4(gate, input), int4(up, input), int4(down, inner));
    }
  }

  /// INT4 in groups of 32 of a row, each with the scale of a grid that loses least, columns
  /// weighted by their importance.
  private static float[][] int4(float[][] weight, float[] importance) {
    float[][] out = new float[weight.length][weight[0].length];
    for (int row = 0; row < out.length; row++) {
      for (int first = 0; first < out[row].length; first += GROUP) {
        roundGroup(weight[row], importance, first, out[row]);
      }
    }
    return out;
  }

  private static void roundGroup(float[] weight, float[] importance, int first, float[] out) {
    float absmax = 0;
    for (int i = first; i < first + GROUP; i++) {
      absmax = Math.max(absmax, Math.abs(weight[i]));
    }
    double least = Double.POSITIVE_INFINITY;
    for (int step = 50; step <= 120; step++) {
      float scale = absmax / 7 * step / 100;
      double loss = 0;
      float[] tried = new float[GROUP];
      for (int i = 0; i < GROUP; i++) {
        float code = Math.clamp((float) Math.rint(weight[first + i] / scale), -8, 7);
        tried[i] = scale == 0 ? 0 : code * scale;
        double off = (double) weight[first + i] - tried[i];
        loss += importance[first + i] * off * off;
      }
      if (loss < least) {
        least = loss;
        System.arraycopy(tried, 0, out, first, GROUP);
      }
    }
  }

  private static double error(Expert exact, Expert rounded, List<float[]> inputs) {
    double off = 0;
    double all = 0;
    for (float[] x : inputs) {
      double[] y = exact.output(x);
      double[] z = rounded.output(x);
      for (int i = 0; i < y.length; i++) {
        off += (z[i] - y[i]) * (z[i] - y[i]);
        all += y[i] * y[i];
      }
    }
    return off / all;
  }

  /// What the router of each layer read, and what it chose.
  private static final class Reading implements Observer {
    final Map<Integer, List<float[]>> inputs = new HashMap<>();
    final Map<Integer, Routing> routings = new HashMap<>();

    @Override
    public void input(List<Weight> weights, Matrix x) {}

    @Override
    public void routed(int layer, Matrix input, long firstToken, Routing routing) {
      inputs.computeIfAbsent(layer, _ -> new ArrayList<>()).addAll(List.of(SampleRun.copy(input)));
      routings.put(layer, routing);
    }

    /// Inputs of the tokens that chose an expert.
    List<float[]> of(int layer, int expert) {
      List<float[]> own = new ArrayList<>();
      Routing routing = routings.get(layer);
      for (int token = 0; token < inputs.get(layer).size(); token++) {
        for (int rank = 0; rank < routing.k(); rank++) {
          if (routing.expert(token, rank) == expert) {
            own.add(inputs.get(layer).get(token));
          }
        }
      }
      return own;
    }
  }

  private static List<int[]> text(String file, long tokens) throws IOException {
    try (ModelSource source = ModelSources.open(MODEL);
        Tokenizer tokenizer = Tokenizer.open(source);
        Corpus corpus = Corpus.open(List.of(CORPORA.resolve(file)))) {
      Optional<Tokenizer> own = Optional.of(tokenizer);
      return TokenSequences.cut(
              corpus,
              own,
              SpecialTokens.of(source, own),
              1536,
              new SequenceCut.Documents(LENGTH, tokens))
          .ids();
    }
  }

  private static Reading read(Path model, List<int[]> sequences) throws IOException {
    Reading reading = new Reading();
    var _ =
        SampleRun.of(
            model, sequences, SampleRun.Setup.PLAIN.options(LayerOptions.observed(reading)));
    return reading;
  }

  private Path planted() throws IOException {
    Path copy = Files.createDirectory(folder.resolve("model"));
    EditableModel model = EditableModel.copy(MODEL, copy);
    for (Map.Entry<Integer, Integer> starved : STARVED.entrySet()) {
      SourceTensor bias = model.weight(new TensorRole.RouterBias(starved.getKey())).codes();
      assertThat(bias.type()).isEqualTo(ElementType.F32);
      byte[] bytes = model.read(bias);
      ByteBuffer.wrap(bytes)
          .order(ByteOrder.LITTLE_ENDIAN)
          .putFloat(Float.BYTES * starved.getValue(), -2);
      model.write(bias, bytes);
    }
    return copy;
  }

  private CalibrationTable calibrate(Path model, List<int[]> sequences) throws IOException {
    Path out = folder.resolve("table");
    LayerObserver.Options options = new LayerObserver.Options(HessianChoice.NONE, FLOOR);
    try (ModelSource source = ModelSources.open(model);
        Compute compute =
            Compute.steady(MathKernelSet.choose("auto"), KernelSet.choose("auto"), 2)) {
      Checkpoint checkpoint = Checkpoint.open(source);
      Calibration.Text text =
          new Calibration.Text(
              sequences,
              IntStream.range(0, sequences.size()).boxed().toList(),
              List.of(new TableIndex.CorpusFile("calibration.jsonl", "")),
              LENGTH);
      CalibratePlan plan =
          CalibratePlan.of(
              new CalibratePlan.Work(checkpoint, text.tokens(), LENGTH, options, compute, 0),
              OptionalLong.empty());
      Files.createDirectories(out.resolve(".smelt"));
      var _ =
          new Calibration(
                  new Calibration.Model(source, checkpoint),
                  text,
                  options,
                  plan,
                  compute,
                  () -> {},
                  "test")
              .run(out, out.resolve(".smelt"));
    }
    return CalibrationTable.open(out);
  }

  private static Expert expert(int layer, int number) throws IOException {
    try (ModelSource source = ModelSources.open(MODEL)) {
      ModelWeights.Gated unit = new ModelWeights(Checkpoint.open(source)).expert(layer, number);
      return new Expert(
          numbers(source, unit.gate()), numbers(source, unit.up()), numbers(source, unit.down()));
    }
  }

  private static float[][] numbers(ModelSource source, Weight weight) throws IOException {
    try (Arena arena = Arena.ofConfined();
        WeightStream stream = new WeightStream(source, arena.allocate(1 << 20))) {
      Matrix out = Matrix.zeros(arena, WeightStream.rows(weight), WeightStream.cols(weight));
      Scratch scratch = new Scratch(arena.allocate(1 << 20, Scratch.ALIGNMENT));
      stream.decode(KernelSet.choose("auto"), weight, 0, out, scratch);
      return SampleRun.copy(out);
    }
  }

  private static float[] meanSquare(List<float[]> rows) {
    double[] sums = new double[rows.getFirst().length];
    for (float[] row : rows) {
      for (int i = 0; i < row.length; i++) {
        sums[i] += (double) row[i] * row[i];
      }
    }
    float[] mean = new float[sums.length];
    for (int i = 0; i < mean.length; i++) {
      mean[i] = (float) (sums[i] / rows.size());
    }
    return mean;
  }

  @Test
  void areRoundedAsWellAsIfEveryTokenHadGoneThroughEveryExpert() throws IOException {
    Path model = planted();
    List<int[]> calibration = text("calibration.jsonl", Share.of(4096, 8192));
    CalibrationTable table = calibrate(model, calibration);
    Reading all = read(model, calibration);
    Reading heldOut = read(MODEL, text("heldout.jsonl", Share.of(2048, 4096)));
    double share = table.index().cost().forced() / table.index().cost().forward();
    System.out.printf("%.3f %% more products%n", 100 * share);
    assertThat(share).isBetween(1e-6, 0.10);
    double ours = 0;
    double everything = 0;
    for (Map.Entry<Integer, Integer> starved : STARVED.entrySet()) {
      int layer = starved.getKey();
      int number = starved.getValue();
      Coverage.Expert seen = table.coverage(layer).experts().get(number);
      assertThat(seen.tokens()).isLessThan(FLOOR / 4);
      assertThat(seen.input()).isEqualTo(Coverage.Source.SHRUNK);
      assertThat(seen.down()).isEqualTo(Coverage.Source.FORCED);
      Expert exact = expert(layer, number);
      List<float[]> inputs = heldOut.of(layer, number);
      assertThat(inputs).hasSizeGreaterThan(100);
      Expert own =
          exact.rounded(
              Importance.of(table::stats, new Site.ExpertInput(layer, number)).orElseThrow(),
              Importance.of(table::stats, new Site.ExpertDown(layer, number)).orElseThrow());
      List<float[]> tokens = all.inputs.get(layer);
      Expert full =
          exact.rounded(meanSquare(tokens), meanSquare(tokens.stream().map(exact::inner).toList()));
      float[] equal = new float[256];
      Arrays.fill(equal, 1);
      double a = error(exact, own, inputs);
      double b = error(exact, full, inputs);
      System.out.printf(
          "layer %d expert %d: %d tokens, %d forced; error %.6f, with all tokens %.6f (x %.4f),"
              + " without importance %.6f%n",
          layer,
          number,
          seen.tokens(),
          seen.forced(),
          a,
          b,
          a / b,
          error(exact, exact.rounded(equal, equal), inputs));
      assertThat(a).isLessThanOrEqualTo(1.1 * b);
      ours += a;
      everything += b;
    }
    System.out.printf("together x %.4f%n", ours / everything);
  }
}
