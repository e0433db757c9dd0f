package smelt.verify;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.verify.CtArgs.Strategy;

class CtSchemaTest {

  private static CtConfig parse(String weights, String more) {
    String group = "{\"targets\": [\"Linear\"], \"weights\": " + weights + more + "}";
    String json = "{\"format\": \"int-quantized\", \"config_groups\": {\"g\": " + group + "}}";
    return CtSchema.parse(ModelDraft.JSON.readTree(json));
  }

  private static List<String> places(CtConfig config) {
    return config.violations().stream().map(CtConfig.Violation::where).toList();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "{`strategy`: `rows`}|strategy",
        "{`group_size`: -2}|group_size",
        "{`group_size`: 0}|group_size",
        "{`strategy`: `token`, `dynamic`: false}|dynamic",
        "{`strategy`: `group`}|group_size",
        "{`strategy`: `channel`, `group_size`: 128}|group_size",
        "{`strategy`: `block`}|block_structure",
        "{`strategy`: `block`, `block_structure`: [128, 0]}|block_structure",
        "{`strategy`: `channel`, `block_structure`: [128, 128]}|block_structure",
        "{`strategy`: `channel`, `actorder`: `group`}|actorder",
        "{`strategy`: `channel`, `actorder`: true}|actorder",
        "{`strategy`: `channel`, `dynamic`: true}|dynamic",
        "{`strategy`: `group`, `group_size`: 16, `dynamic`: `local`}|dynamic",
        "{`strategy`: `token`, `dynamic`: true, `observer`: `minmax`}|observer",
        "{`symmetric`: true, `zp_dtype`: `torch.int8`}|zp_dtype",
        "{`scale_dtype`: `float8`}|scale_dtype",
        "{`type`: `integer`}|type",
        "{`num_bits`: `8`}|num_bits",
        "{`symmetric`: `yes`}|symmetric",
        "{`observers`: `minmax`}|observers",
        "[8]|weights"
      })
  void refusesWhatTheSchemaRefuses(String weights, String place) {
    assertThat(places(parse(weights.replace('`', '"'), "")))
        .isNotEmpty()
        .allMatch(where -> where.endsWith(place));
  }

  @Test
  void refusesUnknownKeysInAGroupAndWarnsOfThemAtTheTop() {
    assertThat(places(parse("{}", ", \"ignores\": []"))).containsExactly("config_groups.g.ignores");
    String top = "{\"ignores\": [], \"config_groups\": {\"g\": {\"targets\": [\"Linear\"]}}}";
    assertThat(CtSchema.parse(ModelDraft.JSON.readTree(top)).violations())
        .singleElement()
        .satisfies(violation -> assertThat(violation.severity()).isEqualTo(Severity.WARN));
  }

  @Test
  void refusesFormatsThatDoNotAgree() {
    assertThat(places(parse("{}", ", \"format\": \"mixed-precision\"")))
        .contains("config_groups.g.format");
    assertThat(places(parse("{}", ", \"format\": \"pack-quantized\""))).containsExactly("format");
    assertThat(places(parse("{}", ", \"format\": \"zip\"")))
        .containsExactly("config_groups.g.format");
  }

  @Test
  void infersTheStrategyFromTheGroupSize() {
    assertThat(weights("{}").strategy()).isEqualTo(Strategy.TENSOR);
    assertThat(weights("{\"group_size\": 32}").strategy()).isEqualTo(Strategy.GROUP);
    assertThat(weights("{\"group_size\": -1}").strategy()).isEqualTo(Strategy.CHANNEL);
    assertThat(weights("{\"strategy\": \"block\", \"block_structure\": \"128x64\"}").block())
        .contains(new Quantization.Block(128, 64));
  }

  private static CtArgs weights(String json) {
    CtConfig config = parse(json, "");
    assertThat(config.violations()).isEmpty();
    return config.groups().getFirst().weights().orElseThrow();
  }

  @Test
  void patternsAreAnchoredAtTheStartOnly() {
    CtTargets targets = CtTargets.of(List.of("re:.*gate$", "lm_head", "re:model\\.norm"));
    assertThat(targets.matches("model.layers.1.mlp.gate")).isTrue();
    assertThat(targets.matches("model.norm.x")).isTrue();
    assertThat(targets.matches("a.model.norm")).isFalse();
    assertThat(targets.matches("model.lm_head")).isFalse();
  }

  @Test
  void aPatternThatRunsWildIsGivenUp() {
    CtTargets targets = CtTargets.of(List.of("re:(a+)+(b+)+c"));
    String name = "a".repeat(5000) + "b".repeat(5000);
    Assertions.assertTimeoutPreemptively(
        Duration.ofSeconds(5), () -> assertThat(targets.matches(name)).isFalse());
  }
}
