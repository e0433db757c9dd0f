package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import tools.jackson.databind.json.JsonMapper;

/// What a config may say, and what is refused rather than computed wrongly.
class ModelSpecTest {

  @TempDir private Path temporary;

  private Path changed(String model, String json) throws IOException {
    return Planted.of(model)
        .withConfig(temporary.resolve("model"), JsonMapper.builder().build().readTree(json));
  }

  private static ModelSpec spec(Path folder) throws IOException {
    try (ModelSource source = ModelSources.open(folder)) {
      return ModelSpec.of(Checkpoint.open(source));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          llama     | {"rope_scaling": {"type": "dynamic", "factor": 2.0}}                 | dynamic
          qwen2     | {"rope_scaling": {"rope_type": "longrope", "short_factor": [1.0]}}   | longrope
          qwen3-moe | {"rope_scaling": {"type": "mrope", "mrope_section": [2, 2, 2]}}      | mrope
          qwen2     | {"rope_scaling": {"type": "su", "factor": 2.0}}                      | su
          llama     | {"rope_parameters": {"rope_type": "proportional"}, "rope_scaling": null} | proportional
          llama     | {"rope_scaling": {"type": "yarn", "factor": 2.0, "mscale": 0.7}}     | mscale
          llama     | {"rope_scaling": {"type": "yarn", "factor": 2.0, "attention_factor": 1.3}} | attention_factor
          llama     | {"rope_scaling": {"type": "yarn", "factor": 2.0, "truncate": false}} | truncate
          llama     | {"partial_rotary_factor": 0.5}                                       | partial_rotary_factor
          qwen2     | {"use_mrope": true}                                                  | use_mrope
          deepseek-v2 | {"norm_topk_prob": true}                                           | norm_topk_prob with routed_scaling_factor 4.0
          mixtral   | {"hidden_act": "gelu"}                                               | gelu
          """)
  void refusesWhatItDoesNotCompute(String model, String change, String named) throws IOException {
    Path folder = changed(model, change);
    assertThatThrownBy(() -> spec(folder))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining(named)
        .hasMessageContaining("is not supported; ");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          llama     | {"rope_scaling": {"type": "linear"}}                     | no factor
          llama     | {"rope_scaling": {"type": "linear", "factor": -2.0}}     | factor -2.0
          llama     | {"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "high_freq_factor": 4.0}} | no low_freq_factor
          llama     | {"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "high_freq_factor": 1.0, "low_freq_factor": 1.0}} | low_freq_factor
          llama     | {"rope_theta": 0.5}                                      | rope_theta 0.5
          mixtral   | {"rope_theta": null}                                     | no rope_theta
          mixtral   | {"num_experts_per_tok": 9}                               | num_experts_per_tok
          qwen3-moe | {"rms_norm_eps": null}                                   | no rms_norm_eps
          """)
  void namesTheValueThatIsWrong(String model, String change, String named) throws IOException {
    Path folder = changed(model, change);
    assertThatThrownBy(() -> spec(folder))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(named);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          mixtral       | {"sliding_window": 20}                                                       | 20
          qwen2         | {"use_sliding_window": true}                                                 | 16
          qwen2         | {"use_sliding_window": true, "max_window_layers": 2}                         | 16
          qwen3-moe     | {"use_sliding_window": true}                                                 | 16
          deepseek-v3.2 | {"index_topk": 39}                                                           | 39
          """)
  void refusesSequencesThatAreLongerThanWhatATokenSees(String model, String change, int limit)
      throws IOException {
    Path folder = changed(model, change);
    int[] ids = Planted.of(model).sequences().getFirst();
    assertThatThrownBy(() -> Planted.run(folder, List.of(ids)))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("a sequence of 40 tokens")
        .hasMessageContaining("up to " + limit + " tokens");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          mixtral       | {"sliding_window": 40}
          qwen2         | {"use_sliding_window": true, "max_window_layers": 3}
          deepseek-v3.2 | {"index_topk": 40}
          """)
  void runsSequencesThatAreNot(String model, String change) throws IOException {
    Planted planted = Planted.of(model);
    List<int[]> first = planted.sequences().subList(0, 1);
    float[][] logits = Planted.run(changed(model, change), first).logits();
    assertThat(logits).isDeepEqualTo(Planted.run(planted.model(), first).logits());
  }

  @Test
  void knowsWhichLayersHaveExperts() throws IOException {
    assertThat(spec(Planted.of("qwen3-moe").model()).layers())
        .hasExactlyElementsOfTypes(
            FeedForward.Experts.class, FeedForward.Dense.class, FeedForward.Experts.class);
    assertThat(spec(Planted.of("qwen3-moe-sparse-step").model()).layers())
        .hasExactlyElementsOfTypes(
            FeedForward.Dense.class, FeedForward.Experts.class, FeedForward.Dense.class);
  }
}
