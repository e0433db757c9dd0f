package smelt.formats.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.formats.BadInputException;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class ShardIndexTest {

  @TempDir Path folder;

  private ShardIndex read(String json) throws IOException {
    Files.writeString(folder.resolve(CheckpointDraft.INDEX), json);
    try (ModelSource source = ModelSources.open(folder)) {
      return ShardIndex.read(source, CheckpointDraft.INDEX);
    }
  }

  @Test
  void keepsTheOrderOfTheFile() throws IOException {
    ShardIndex index =
        read(
            "{\"metadata\":{\"total_size\":7},\"weight_map\":{\"z\":\"b\",\"a\":\"c\"},\"x\":[1]}");
    assertThat(index.weightMap()).containsExactlyEntriesOf(orderedMap());
    assertThat(index.totalSize()).hasValue(7);
  }

  private static Map<String, String> orderedMap() {
    Map<String, String> map = new LinkedHashMap<>();
    map.put("z", "b");
    map.put("a", "c");
    return map;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"metadata\":{},\"weight_map\":{}}",
        "{\"weight_map\":{}}",
        "{\"metadata\":null,\"weight_map\":{}}",
        "{\"metadata\":{\"total_size\":1.5,\"x\":{\"total_size\":3}},\"weight_map\":{}}",
        "{\"metadata\":{\"total_size\":99999999999999999999},\"weight_map\":{}}"
      })
  void needsNoTotalSize(String json) throws IOException {
    assertThat(read(json).totalSize()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "[]",
        "{}",
        "{\"weight_map\":[]}",
        "{\"weight_map\":{\"a\":1}}",
        "{\"weight_map\":{\"a\":{\"b\":\"c\"}}}",
        "{\"weight_map\":{\"a\":\"b\",\"a\":\"c\"}}",
        "{\"weight_map\":{},\"weight_map\":{}}",
        "{\"weight_map\":{}} {}",
        "{\"weight_map\":{\"a\":\"b\"}"
      })
  void refusesWhatIsNoStrictIndex(String json) {
    assertThatThrownBy(() -> read(json))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(CheckpointDraft.INDEX);
  }

  @ParameterizedTest
  @ValueSource(strings = {"model.safetensors", "model-00001-of-00163.safetensors", "a_b/c-1.x"})
  void acceptsNamesInsideTheFolder(String name) {
    assertThat(ShardIndex.isShardName(name)).isTrue();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "", "/a", "../a", "a/../b", "a//b", "a/", "./a", ".a", "a\\b", "C:a", "a b", "a\u0000",
        "\u00e9"
      })
  void refusesNamesThatCouldLeaveIt(String name) {
    assertThat(ShardIndex.isShardName(name)).isFalse();
  }
}
