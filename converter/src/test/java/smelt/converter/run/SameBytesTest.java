package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.converter.target.Target;
import smelt.formats.Checkout;
import smelt.formats.source.CountingModelSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// One source and recipe give one output, however it comes about.
class SameBytesTest {

  private static final Path SAMPLES = Checkout.root().resolve("samples");
  private static final Path FP8 = SAMPLES.resolve("tiny-deepseek-v3-fp8");

  @TempDir static Path first;
  @TempDir Path folder;

  @BeforeAll
  static void convertToAll() throws Exception {
    Converting.to(Target.values()).threads(3).run(FP8, first);
  }

  @ParameterizedTest
  @CsvSource({"8, auto, true", "1, scalar, false"})
  void threadsKernelsAndOrderMakeNoDifference(int threads, String kernels, boolean shuffled)
      throws Exception {
    Path second = folder.resolve("second");
    Converting other = Converting.to(Target.values()).threads(threads).kernels(kernels);
    if (shuffled) {
      other.shuffled(threads);
    }
    other.run(FP8, second);
    assertThat(Converting.digests(second)).isEqualTo(Converting.digests(first));
  }

  /// `samples/MODEL/expected.sha256` holds what each target's files are. A change of it is a change
  /// of what users get: it belongs in the changelog.
  @ParameterizedTest
  @ValueSource(strings = {"tiny-deepseek-v3", "tiny-deepseek-v3-fp8"})
  void samplesGiveTheRecordedBytes(String sample) throws Exception {
    Path out = first;
    if (!SAMPLES.resolve(sample).equals(FP8)) {
      out = folder.resolve("out");
      Converting.to(Target.values()).run(SAMPLES.resolve(sample), out);
    }
    Map<String, String> actual = new TreeMap<>(Converting.digests(out));
    actual.keySet().removeIf(name -> !name.matches(".*\\.(safetensors|gguf)"));
    Path record = SAMPLES.resolve(sample).resolve("expected.sha256");
    if (Boolean.getBoolean("smelt.record")) {
      Files.write(record, lines(actual));
    }
    assertThat(lines(actual)).isEqualTo(Files.readAllLines(record));
  }

  private static List<String> lines(Map<String, String> digests) {
    return digests.entrySet().stream().map(e -> e.getValue() + "  " + e.getKey()).toList();
  }

  @Test
  void threeTargetsReadTheSourceOnce() throws Exception {
    try (CountingModelSource source = new CountingModelSource(ModelSources.open(FP8))) {
      Converting.to(Target.INT8_CHANNEL, Target.INT8_BLOCK, Target.BF16)
          .run(source, folder.resolve("out"));
      long tensorBytes = 0;
      for (String name : source.names()) {
        tensorBytes += name.endsWith(".safetensors") ? Files.size(FP8.resolve(name)) : 0;
      }
      assertThat(source.bytesRead()).isBetween(tensorBytes, tensorBytes * 102 / 100);
    }
  }

  @Test
  void whatIsConvertedAgainStaysTheSame() throws Exception {
    Path bf16 = folder.resolve("bf16");
    Converting.to(Target.FP8_BLOCK).run(SAMPLES.resolve("tiny-deepseek-v3"), bf16);
    Path again = folder.resolve("again");
    Converting.to(Target.FP8_BLOCK).run(bf16, again);
    Map<String, String> first = shards(bf16);
    assertThat(first).isNotEmpty();
    assertThat(shards(again)).isEqualTo(first);
  }

  private static Map<String, String> shards(Path out) throws IOException {
    Map<String, String> digests = new TreeMap<>(Converting.digests(out));
    digests.keySet().removeIf(name -> !name.endsWith(".safetensors"));
    return digests;
  }

  @Test
  void aDiskThatBreaksLeavesNoShardWithoutReceiptAndTheNextRunGoesOn() throws Exception {
    Path whole = folder.resolve("whole");
    Converting.to(Target.INT8_CHANNEL).run(FP8, whole);
    Path out = folder.resolve("out");
    try (ModelSource broken = new CountingModelSource(ModelSources.open(FP8), 11_000_000)) {
      assertThatThrownBy(() -> Converting.to(Target.INT8_CHANNEL).run(broken, out))
          .isInstanceOf(IOException.class);
    }
    assertThat(Converting.names(out)).noneMatch(name -> name.endsWith(".part"));
    assertThat(out.resolve("manifest.json")).doesNotExist();
    assertThat(out.resolve("model.safetensors.index.json")).doesNotExist();
    Conversion.Result result = Converting.to(Target.INT8_CHANNEL).run(FP8, out);
    assertThat(result.unitsKept()).isPositive();
    assertThat(Converting.digests(out)).isEqualTo(Converting.digests(whole));
  }
}
