package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import smelt.calibrate.cost.Rates;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.formats.checkpoint.DeepSeekV3Fixture;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `plan --assume`: what a conversion costs on another machine.
class PlanAssumeTest {

  private static Assumed parse(String text) {
    return new Assumed.Converter().convert(text);
  }

  private static Program.Result plan(Path model, String... more) {
    String[] args = new String[4 + more.length];
    System.arraycopy(
        new String[] {"plan", model.toString(), "--recipe", "int8-channel"}, 0, args, 0, 4);
    System.arraycopy(more, 0, args, 4, more.length);
    return Program.run(args);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          disk=3GB/s,compute=4TFLOPS                    | 3e9    | 3e9   | 4e12
          compute=0.1TFLOP/s,disk=500MB/s               | 5e8    | 5e8   | 1e11
          disk=1 GiB/s,write=250MB/s,compute=400TFLOPS  | 1073741824 | 2.5e8 | 4e14
          disk=7gb/s,compute=2e                         | |  |
          disk=1000B/s,compute=100GFLOPS,moments        | 1e3    | 1e3   | 1e11
          """)
  void readsRates(String text, Double read, Double write, Double flops) {
    if (read == null) {
      assertThatThrownBy(() -> parse(text)).hasMessageContaining("compute=4TFLOPS");
      return;
    }
    assertThat(parse(text).rates(0, 0)).isEqualTo(new Rates(read, write, flops));
    assertThat(parse(text).isMeasured()).isFalse();
    assertThat(parse(text).text().moments()).isEqualTo(text.endsWith("moments"));
  }

  @Test
  void measuresWhatIsLeftOpen() {
    assertThat(parse("measure").isMeasured()).isTrue();
    Assumed half = parse("measure,disk=2GB/s,tokens=100");
    assertThat(half.isMeasured()).isTrue();
    assertThat(half.rates(5, 7)).isEqualTo(new Rates(2e9, 2e9, 7));
    assertThat(half.text().length()).isEqualTo(100);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          disk=3GB/s                          | no compute, expected compute=4TFLOPS, or measure
          compute=4TFLOPS                     | no disk, expected disk=3GB/s, or measure
          disk=3,compute=4TFLOPS              | disk=3, expected disk=3GB/s
          disk=3Gb,compute=4TFLOPS            | disk=3Gb, expected disk=3GB/s
          disk=0GB/s,compute=4TFLOPS          | disk=0GB/s
          disk=3GB/s,compute=4GB/s            | compute=4GB/s, expected compute=4TFLOPS
          disk=3iB/s,compute=4TFLOPS          | disk=3iB/s
          disk=-3GB/s,compute=4TFLOPS         | disk=-3GB/s
          disk,compute=4TFLOPS                | 'disk' without a value
          dsik=3GB/s,compute=4TFLOPS          | did you mean 'disk'?
          network=3GB/s                       | one of disk, write, compute
          disk=3GB/s,disk=4GB/s               | 'disk' twice
          disk=3GB/s,compute=4TFLOPS,tokens=0 | tokens=0, expected a whole number from 1
          disk=3GB/s,compute=4TFLOPS,measure  | measure beside disk and compute
          moments=yes,measure                 | 'moments' alone
          measure,                            | found ''
          """)
  void saysWhatIsWrong(String text, String message) {
    assertThatThrownBy(() -> parse(text))
        .isInstanceOf(CommandLine.TypeConversionException.class)
        .hasMessageContaining(message)
        .hasMessageStartingWith("'" + text + "': found ");
  }

  @Test
  void theProgramTellsWhatDeepSeekV3Costs(@TempDir Path folder) throws IOException {
    Path model = DeepSeekV3Fixture.write(folder.resolve("v3"));
    Program.Result result = plan(model, "--assume", "disk=3GB/s,compute=4TFLOPS");
    assertThat(result.exit()).as(result.err()).isZero();
    assertThat(result.out())
        .contains("assumed  reading 3 GB/s, writing 3 GB/s, computing 4 TFLOP/s; 32,768 tokens")
        .contains("a token    73.2 GFLOP: attention 22.8 GFLOP")
        .contains("scores     5.1 GFLOP more for a token")
        .containsPattern("crossover  12,2\\d\\d tokens \\(11,4\\d\\d with scores\\)")
        .containsPattern("convert +3 min 50 s +3 min 50 s +- +7 min 39 s +7 min 39 s")
        .containsPattern("one pass +3 min 50 s +3 min 50 s +5[23] min \\d\\d s");
    Program.Result json = plan(model, "--assume", "disk=3GB/s,compute=4TFLOPS", "--json");
    JsonNode estimate = JsonMapper.builder().build().readTree(json.out()).path("estimate");
    assertThat(estimate.path("crossover_tokens").doubleValue()).isCloseTo(12_260, within(30.0));
    assertThat(estimate.path("jobs").size()).isEqualTo(4);
    assertThat(estimate.path("jobs").get(3).path("memory_bytes").longValue())
        .isBetween(24L * 32_768 * 7168, 24_000_000_000L);
  }

  @ParameterizedTest
  @ValueSource(strings = {"measure,tokens=2048,sequence=512", "measure,disk=1GB/s,moments"})
  void measuresThisMachine(String assume) {
    Program.Result result = plan(SampleModel.path(SampleModel.FP8), "--assume", assume);
    assertThat(result.exit()).as(result.err()).isZero();
    assertThat(result.out()).containsPattern("computing [0-9.]+ [GT]FLOP/s").contains("crossover");
  }

  @Test
  void namesTheOptionThatIsWrong() {
    Program.Result result = plan(SampleModel.path(SampleModel.FP8), "--assume", "disk=3GB/s");
    assertThat(result.exit()).isEqualTo(2);
    assertThat(result.err()).contains("--assume").contains("no compute");
  }
}
