package smelt.converter.plan;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.converter.Program;
import smelt.converter.recipe.Recipes;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.DeepSeekV3Fixture;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Plans of DeepSeek-V3 in its true size, from sparse files.
class DeepSeekV3PlanTest {

  @TempDir static Path folder;

  private static Path model;

  @BeforeAll
  static void writeModel() throws IOException {
    model = DeepSeekV3Fixture.write(folder.resolve("model"));
  }

  /// Tensor counts and bytes as computed independently from the published inventory.
  @ParameterizedTest
  @CsvSource({
    "bf16, 46183, 1368979721216",
    "int8-channel, 91991, 689108912640",
    "fp8-block, 91991, 688574839360",
    "int8-block, 91991, 688574839360"
  })
  void hasTheSizesThatTheInventoryGives(String recipe, int tensors, long bytes) throws IOException {
    Plan plan;
    try (ModelSource source = ModelSources.open(model)) {
      plan = Planner.plan(source, Checkpoint.open(source), Recipes.load(recipe));
    }
    List<ShardLayout.Part> all =
        plan.targets().getFirst().shards().stream()
            .flatMap(shard -> shard.layout().parts().stream())
            .toList();
    assertThat(all).hasSize(tensors);
    assertThat(all.stream().mapToLong(ShardLayout.Part::bytes).sum()).isEqualTo(bytes);
    assertThat(plan.sourceBytes()).isEqualTo(DeepSeekV3Fixture.TENSOR_BYTES);
    assertThat(plan.dropped()).isEmpty();
    assertThat(plan.units()).hasSize(61);
  }

  @Test
  void theProgramPlansItIn512MiBOfHeap() {
    Program.Result result =
        Program.smelt()
            .bare()
            .brief()
            .jvm("-Xmx512m")
            .go("plan", model.toString(), "--recipe", "int8-channel");
    assertThat(result.exit()).as(result.err()).isZero();
    assertThat(result.out())
        .contains("91,991 tensors, 688,574,839,360 bytes")
        .contains("disk     689,");
  }

  @Test
  void theProgramRefusesItOnADiskThatIsTooSmall() throws IOException {
    long free = Files.getFileStore(folder).getUsableSpace();
    org.junit.jupiter.api.Assumptions.assumeTrue(
        free < 600_000_000_000L, "skipped: this disk holds the whole of DeepSeek-V3");
    Path out = folder.resolve("out");
    Program.Result result =
        Program.run("convert", model.toString(), "--recipe", "int8-channel", "-o", out.toString());
    assertThat(result.exit()).isEqualTo(4);
    assertThat(result.err())
        .contains("of free disk space")
        .contains("at least 641.8")
        .contains("choose another folder");
    assertThat(out).doesNotExist();
  }
}
