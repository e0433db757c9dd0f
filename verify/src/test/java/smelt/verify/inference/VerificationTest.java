package smelt.verify.inference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import smelt.verify.quality.Looks;
import smelt.verify.quality.Profile;
import smelt.verify.quality.QualityReport;

class VerificationTest {

  private static final Path FP8 = Comparing.sample("tiny-deepseek-v3-fp8");
  private static final Path BF16 = Comparing.sample("tiny-deepseek-v3");

  @TempDir Path folder;

  /// What a verification says of its progress.
  private static final class Counting implements Verification.Watcher {
    private long bytesAnnounced;
    private long stepsAnnounced;
    private final AtomicLong bytes = new AtomicLong();
    private final AtomicLong steps = new AtomicLong();

    @Override
    public void starts(long all, long count) {
      bytesAnnounced = all;
      stepsAnnounced = count;
    }

    @Override
    public void read(long more) {
      assertThat(bytes.addAndGet(more)).isLessThanOrEqualTo(bytesAnnounced);
    }

    @Override
    public void stepDone() {
      assertThat(steps.incrementAndGet()).isLessThanOrEqualTo(stepsAnnounced);
    }

    @Override
    public void check() {}
  }

  private static QualityReport verify(Path model, Path result, List<int[]> texts, Counting counting)
      throws IOException {
    Kernels codec = KernelSet.choose("auto");
    try (Compute compute = Compute.steady(MathKernelSet.choose("auto"), codec, 2);
        ModelSource from = ModelSources.open(model);
        ModelSource to = ModelSources.open(result)) {
      Verification.Model source = new Verification.Model(from, Checkpoint.open(from));
      Verification.Model made = new Verification.Model(to, Checkpoint.open(to));
      List<Integer> lengths = texts.stream().map(ids -> ids.length).toList();
      VerifyPlan plan =
          VerifyPlan.of(
              new VerifyPlan.Work(
                  source.checkpoint(),
                  made.checkpoint(),
                  lengths,
                  compute,
                  0,
                  Looks.onTheWay(lengths)),
              OptionalLong.empty());
      Verification.Request request =
          new Verification.Request(
              texts,
              IntStream.range(0, texts.size()).boxed().toList(),
              true,
              Optional.empty(),
              Profile::bounds,
              OptionalInt.of(1),
              false);
      Verification.Tools tools = new Verification.Tools(codec, compute);
      return new Verification(source, made, request, plan, tools, counting)
          .run(new Verification.About(List.of("ids"), "test", "smelt verify"));
    }
  }

  @Test
  void endsWithAllBytesAndStepsThatItAnnounced() throws IOException {
    Counting counting = new Counting();
    verify(BF16, FP8, Comparing.texts(12, 24), counting);
    assertThat(counting.stepsAnnounced).as("three rounds").isEqualTo(1 + 3 * (4 + 1));
    assertThat(counting.steps).hasValue(counting.stepsAnnounced);
    assertThat(counting.bytes).hasValue(counting.bytesAnnounced);
  }

  @Test
  void namesExpertsThatNoTokenReached() throws IOException {
    QualityReport report = verify(BF16, FP8, Comparing.texts(1, 3), new Counting());
    List<String> dead =
        report.experts().stream()
            .filter(use -> use.tokens() == 0)
            .map(use -> "layer " + use.layer() + " expert " + use.expert())
            .toList();
    assertThat(dead).hasSizeGreaterThanOrEqualTo(3 * (16 - 3 * 4));
    assertThat(report.notes())
        .filteredOn(note -> note.startsWith("No token reached"))
        .singleElement()
        .asString()
        .startsWith("No token reached " + dead.size() + " of 48 routed experts")
        .contains(dead.subList(0, 10));
  }

  @Test
  void refusesRoundingThatItCannotSimulateBeforeItReadsAWeight() throws IOException {
    try (Stream<Path> files = Files.list(FP8)) {
      for (Path file : files.toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    Path config = folder.resolve("config.json");
    String text = Files.readString(config);
    assertThat(text).contains("\"quant_method\": \"fp8\"");
    Files.writeString(
        config, text.replace("\"quant_method\": \"fp8\"", "\"quant_method\": \"awq\""));
    Counting counting = new Counting();
    assertThatThrownBy(() -> verify(FP8, folder, Comparing.texts(2, 8), counting))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("the activations of awq (model.layers.")
        .hasMessageContaining("--activations none leaves them out");
    assertThat(counting.bytes).hasValue(0);
  }
}
