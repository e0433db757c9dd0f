package smelt.converter.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.converter.SampleModel;
import smelt.converter.run.Converting;
import smelt.converter.target.Target;
import smelt.formats.Checkout;
import smelt.formats.gguf.GgmlType;

/// An independent engine reads what is written, and is as sure of the held-out text as the
/// reference inference is. Windows, targets and sums are those of the golden perplexity: 256 tokens
/// from position 0, every one of the 256 that follow them scored.
class LlamaAgreementTest {

  private static final int WINDOW = 256;

  /// Every eighth of the windows of the small golden set.
  private static final List<Integer> WINDOWS = List.of(0, 224, 448, 672);

  @TempDir static Path folder;

  private static final Map<Path, double[]> SCORES = new HashMap<>();

  private static LlamaClient llama;
  private static List<List<Integer>> tokens;
  private static double golden;

  @BeforeAll
  static void prepare() throws IOException, InterruptedException {
    Path data = Checkout.golden("tiny-deepseek-v3");
    ByteBuffer ids = array(data.resolve("test_tokens.npy"));
    ByteBuffer sums = array(data.resolve("bf16/window_nll.npy"));
    tokens = new ArrayList<>();
    golden = 0;
    for (int window : WINDOWS) {
      List<Integer> one = new ArrayList<>();
      for (int i = 0; i <= WINDOW; i++) {
        one.add(ids.getInt(ids.position() + (window * WINDOW + i) * Integer.BYTES));
      }
      tokens.add(one);
      golden += sums.getDouble(sums.position() + window * Double.BYTES);
    }
    llama = LlamaClient.install();
  }

  /// The numbers of a version 1 `.npy` file.
  private static ByteBuffer array(Path file) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    int header = Short.toUnsignedInt(bytes.getShort(8));
    return bytes.position(10 + header);
  }

  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void agreesInF32WithinHalfAPercent() throws IOException, InterruptedException {
    assertThat(ratio(SampleModel.BF16, GgmlType.F32)).isCloseTo(1, within(0.005));
  }

  @Test
  void agreesInBf16WithinHalfAPercent() throws IOException, InterruptedException {
    assertThat(ratio(SampleModel.BF16, GgmlType.BF16)).isCloseTo(1, within(0.005));
  }

  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void agreesInBf16FromFp8WithinHalfAPercent() throws IOException, InterruptedException {
    assertThat(ratio(SampleModel.FP8, GgmlType.BF16)).isCloseTo(1, within(0.005));
  }

  @Test
  void agreesInQ8WithinHalfAPercent() throws IOException, InterruptedException {
    assertThat(ratio(SampleModel.BF16, GgmlType.Q8_0)).isCloseTo(1, within(0.005));
  }

  /// What four bits cost the sample is a few percent; a block in the wrong order costs more.
  @Test
  void staysNearInQ4K() throws IOException, InterruptedException {
    assertThat(ratio(SampleModel.BF16, GgmlType.Q4_K)).isCloseTo(1, within(0.05));
  }

  /// The reference inference on the numbers that the blocks stand for, on the same windows. What is
  /// left between both: the engine rounds the inputs of each product to 8 bits, in blocks of 32 for
  /// Q8_0 and of 256 for Q4_K, keeps keys and values in F16, and where its rounding exchanges two
  /// experts of nearly equal rank a token's loss jumps either way. That is noise of mean zero,
  /// which 1,024 tokens bring below 0.1 %; 0.2 % leaves twice that.
  @ParameterizedTest
  @EnumSource(
      value = GgmlType.class,
      names = {"Q8_0", "Q4_K"})
  void agreesWithTheReferenceOnTheSameBlocks(GgmlType type)
      throws IOException, InterruptedException {
    double[] engine = score(SampleModel.BF16, type);
    double[] reference =
        ReferencePerplexity.score(
            file(SampleModel.BF16, type), SampleModel.path(SampleModel.BF16), tokens);
    double scored = WINDOWS.size() * WINDOW;
    double ratio = Math.exp((sum(engine) - sum(reference)) / scored);
    System.out.printf(
        java.util.Locale.ROOT,
        "%s: perplexity %.4f by llama.cpp, %.4f by the reference on the same blocks%n",
        type,
        Math.exp(sum(engine) / scored),
        Math.exp(sum(reference) / scored));
    assertThat(ratio).isCloseTo(1, within(0.002));
  }

  private static double sum(double[] scores) {
    return java.util.Arrays.stream(scores).sum();
  }

  /// The form for older engines, which newer ones read too.
  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void agreesWithKeysAndValuesFused() throws IOException, InterruptedException {
    Path file = folder.resolve("fused.gguf");
    GgufOptions options = GgufOptions.of(GgmlType.BF16).with(LatentForm.FUSED);
    Exported.of(SampleModel.path(SampleModel.BF16), options, file, "auto");
    assertThat(ratio("fused in BF16", llama.score(file, tokens))).isCloseTo(1, within(0.005));
  }

  /// Five files, of which the engine is given the first.
  @Test
  @EnabledIfSystemProperty(named = "smelt.long", matches = "true", disabledReason = "./dev long")
  void findsAllFilesOfASplitModel() throws IOException, InterruptedException {
    Path out = folder.resolve("split");
    Converting.to(Target.GGUF).run(SampleModel.path(SampleModel.BF16), out);
    assertThat(ratio("split", llama.score(out.resolve("model-00001-of-00005.gguf"), tokens)))
        .isCloseTo(1, within(0.005));
  }

  /// Perplexity by the engine / golden perplexity of the BF16 sample.
  private static double ratio(String sample, GgmlType type)
      throws IOException, InterruptedException {
    return ratio(sample + " in " + type, score(sample, type));
  }

  /// The engine's scores of a sample model, which each type gets once.
  private static double[] score(String sample, GgmlType type)
      throws IOException, InterruptedException {
    Path file = file(sample, type);
    double[] scores = SCORES.get(file);
    if (scores == null) {
      Exported.of(SampleModel.path(sample), type, file);
      scores = llama.score(file, tokens);
      SCORES.put(file, scores);
    }
    return scores;
  }

  private static Path file(String sample, GgmlType type) {
    return folder.resolve(sample + type + ".gguf");
  }

  private static double ratio(String what, double[] scores) {
    int scored = WINDOWS.size() * WINDOW;
    double perplexity = Math.exp(sum(scores) / scored);
    double expected = Math.exp(golden / scored);
    System.out.printf(
        java.util.Locale.ROOT,
        "%s: perplexity %.4f by llama.cpp, golden %.4f%n",
        what,
        perplexity,
        expected);
    return perplexity / expected;
  }
}
