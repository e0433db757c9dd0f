package smelt.formats.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.Inventory.LayerKind;
import smelt.formats.checkpoint.Inventory.Total;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// The figures are those of the published model, computed apart from this program.
class DeepSeekV3SizeTest {

  @TempDir static Path folder;

  private static Checkpoint whole;

  @BeforeAll
  static void openModel() throws IOException {
    whole = open(DeepSeekV3Fixture.write(folder));
  }

  private static Checkpoint open(Path model) throws IOException {
    try (ModelSource source = ModelSources.open(model)) {
      return Checkpoint.open(source);
    }
  }

  @Test
  void countsEveryTensorAndByte() {
    assertThat(whole.shards()).hasSize(163);
    assertThat(whole.storedTensors()).isEqualTo(91_991);
    assertThat(whole.tensorBytes()).isEqualTo(688_574_839_360L);
    assertThat(whole.weights()).hasSize(46_183);
    assertThat(whole.notes()).isEmpty();
  }

  @Test
  void sumsByRole() {
    Inventory inventory = Inventory.of(whole);
    assertThat(inventory.all().tensors()).isEqualTo(91_991);
    assertThat(inventory.all().bytes()).isEqualTo(688_574_839_360L);
    assertThat(inventory.all().parameters())
        .isEqualTo(3_918_786_560L + 680_571_043_840L + 59 * 256);
    assertThat(inventory.routedExperts().bytes()).isEqualTo(665_345_458_176L);
    assertThat(inventory.everythingElse().bytes()).isEqualTo(23_229_381_184L);
    assertThat(inventory.byRole().get("router_bias")).isEqualTo(new Total(59, 59 * 256, 59 * 1024));
  }

  @Test
  void sumsByElementType() {
    Inventory inventory = Inventory.of(whole);
    assertThat(inventory.byType())
        .containsOnlyKeys(ElementType.F8_E4M3, ElementType.BF16, ElementType.F32);
    assertThat(inventory.byType().get(ElementType.F8_E4M3))
        .isEqualTo(new Total(45_808, 680_571_043_840L, 680_571_043_840L));
    assertThat(inventory.byType().get(ElementType.BF16))
        .isEqualTo(new Total(316, 3_918_786_560L, 2 * 3_918_786_560L));
    assertThat(inventory.byType().get(ElementType.F32))
        .isEqualTo(new Total(45_808 + 59, 41_555_600, 4 * 41_555_600L));
  }

  @Test
  void sumsByLayer() throws IOException {
    Checkpoint model = whole;
    Inventory inventory = Inventory.of(model);
    assertThat(inventory.byKind().get(LayerKind.OUTSIDE))
        .extracting(Total::tensors, Total::bytes)
        .containsExactly(3L, 3_706_730_496L);
    assertThat(inventory.byKind().get(LayerKind.DENSE).bytes()).isEqualTo(3 * 583_642_336L);
    assertThat(inventory.byKind().get(LayerKind.EXPERTS).bytes()).isEqualTo(58 * 11_511_947_488L);
    assertThat(inventory.byKind().get(LayerKind.MTP).bytes()).isEqualTo(15_424_227_552L);
    assertThat(inventory.byLayer()).hasSize(62);
    assertThat(inventory.byLayer().get(2).tensors()).isEqualTo(20);
    assertThat(inventory.byLayer().get(60).tensors()).isEqualTo(1558);
    assertThat(inventory.byLayer().get(61).tensors()).isEqualTo(1564);
    long oneExpert =
        model.weights().stream()
            .filter(w ->
                w.role() instanceof TensorRole.RoutedExpert e
                    && e.layerIndex() == 60
                    && e.expert() == 255)
            .mapToLong(Weight::bytes)
            .sum();
    assertThat(oneExpert).isEqualTo(44_050_944);
    assertThat(256 * oneExpert).isEqualTo(11_277_041_664L);
  }

  /// Opening takes about a second. Work that grows with the square of the tensors would take
  /// minutes, which no busy machine hides.
  @Test
  void opensWithoutQuadraticWork() throws IOException {
    Duration best = Duration.ofDays(1);
    for (int run = 0; run < 2; run++) {
      long start = System.nanoTime();
      open(folder);
      Duration taken = Duration.ofNanos(System.nanoTime() - start);
      best = taken.compareTo(best) < 0 ? taken : best;
    }
    assertThat(best).isLessThan(Duration.ofSeconds(20));
  }

  @Test
  void opensV32WithItsIndexerAndPowerOfTwoScales(@TempDir Path v32) throws IOException {
    DeepSeekV3Fixture.writeV32(v32);
    Checkpoint model = open(v32);
    assertThat(model.architecture()).isEqualTo(Architecture.DEEPSEEK_V32);
    assertThat(model.storedTensors()).isEqualTo(92_425);
    assertThat(model.tensorBytes()).isEqualTo(689_468_986_496L);
    Weight wqB = model.weight("model.layers.61.self_attn.indexer.wq_b.weight").orElseThrow();
    assertThat(wqB.encoding()).isEqualTo(Encoding.fp8Block(ScaleFormat.UE8M0));
    assertThat(Inventory.of(model).byRole().get("indexer.k_norm_bias").tensors()).isEqualTo(62);
  }

  @Test
  void knowsV3WithoutItsMtpLayer(@TempDir Path short61) throws IOException {
    CheckpointDraft draft = DeepSeekV3Fixture.draft();
    draft.config().put("num_nextn_predict_layers", 0);
    draft.weightMap().keySet().removeIf(name -> name.startsWith("model.layers.61."));
    draft
        .shards()
        .values()
        .forEach(tensors -> tensors.removeIf(t -> t.name().startsWith("model.layers.61.")));
    draft.shards().values().removeIf(List::isEmpty);
    draft.write(short61);
    Checkpoint model = open(short61);
    assertThat(model.storedTensors()).isEqualTo(90_427);
    assertThat(model.tensorBytes()).isEqualTo(673_150_611_808L);
  }
}
