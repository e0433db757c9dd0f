package smelt.calibrate.observe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.calibrate.observe.ObservedRun.Setup;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class CalibrationTableTest {

  @TempDir private Path folder;

  private final Map<Site, InputStats> stats = new HashMap<>();
  private final Map<Site, float[]> hessians = new HashMap<>();
  private final Map<Site, float[]> heldOut = new HashMap<>();
  private final Map<Integer, Coverage> coverage = new HashMap<>();

  @BeforeEach
  void write() throws IOException {
    List<TableIndex.FileEntry> files = new ArrayList<>();
    var _ = ObservedRun.run(new Setup(ObservedRun.SMALL).held(), observer -> keep(observer, files));
    files.sort(Comparator.comparing(TableIndex.FileEntry::name));
    try (ModelSource source = ModelSources.open(ObservedRun.SMALL)) {
      Checkpoint checkpoint = Checkpoint.open(source);
      TableFiles.writeIndex(
          folder,
          new TableIndex(
              TableIndex.SCHEMA,
              "test",
              new TableIndex.Model(
                  ModelDigest.of(checkpoint, source),
                  checkpoint.architecture().className(),
                  coverage.size() - 1,
                  32),
              List.of(new TableIndex.CorpusFile("text.txt", "00")),
              3,
              111,
              new TableIndex.Settings(HessianChoice.ALL, 128, 40, 31),
              coverage.values().stream()
                  .filter(c -> !c.experts().isEmpty())
                  .map(TableIndex.LayerCoverage::of)
                  .toList(),
              new TableIndex.Cost(1, 0),
              files));
    }
  }

  private void keep(LayerObserver observer, List<TableIndex.FileEntry> files) throws IOException {
    coverage.put(observer.layer(), observer.coverage());
    files.addAll(TableFiles.write(folder, observer));
    for (Site site : observer.sites()) {
      stats.put(site, observer.stats(site).orElseThrow());
      if (HessianChoice.ALL.keeps(site)) {
        files.addAll(TableFiles.writeHessians(folder, observer, site));
        try (Arena arena = Arena.ofShared()) {
          hessians.put(site, numbers(observer.hessian(site, arena).orElseThrow()));
          observer
              .heldOutHessian(site, arena)
              .ifPresent(found -> heldOut.put(site, numbers(found)));
        }
      }
    }
  }

  private static float[] numbers(Hessian hessian) {
    return hessian.values().data().toArray(smelt.calibrate.math.Matrix.F32);
  }

  @Test
  void givesBackWhatWasObserved() throws IOException {
    CalibrationTable table = CalibrationTable.open(folder);
    assertThat(table.sites()).isEqualTo(stats.keySet());
    for (Site site : table.sites()) {
      assertThat(table.stats(site).orElseThrow())
          .usingRecursiveComparison()
          .isEqualTo(stats.get(site));
      try (Arena arena = Arena.ofShared()) {
        float[] read = table.hessian(site, arena).map(h -> numbers(h)).orElse(null);
        assertThat(read).isEqualTo(hessians.get(site));
        float[] held = table.heldOutHessian(site, arena).map(h -> numbers(h)).orElse(null);
        assertThat(held).isEqualTo(heldOut.get(site));
      }
    }
    assertThat(heldOut.keySet())
        .contains(new Site.AttentionInput(0), new Site.FeedForwardInput(1))
        .anyMatch(site -> site instanceof Site.ExpertDown)
        .noneMatch(site -> site instanceof Site.ExpertInput);
    coverage.forEach((layer, found) -> assertThat(table.coverage(layer)).isEqualTo(found));
    table.requireIntact();
  }

  @Test
  void hasNothingOfWhatWasNotSeen() throws IOException {
    CalibrationTable table = CalibrationTable.open(folder);
    assertThat(table.stats(new Site.ExpertDown(0, 99))).isEmpty();
    assertThat(table.channels(new Site.QueryLatent(0))).isEmpty();
    assertThatThrownBy(() -> table.coverage(17)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void importanceOfAnExpertLeansOnItsLayer() throws IOException {
    CalibrationTable table = CalibrationTable.open(folder);
    for (Site site : table.sites()) {
      if (site instanceof Site.ExpertInput input) {
        InputStats own = stats.get(site);
        InputStats pool = stats.get(new Site.FeedForwardInput(input.layer()));
        float[] importance = Importance.of(table::stats, site).orElseThrow();
        double n = own.tokens();
        for (int i = 0; i < importance.length; i++) {
          double expected =
              (n * own.channelMeanSquare()[i] + 64 * pool.channelMeanSquare()[i]) / (n + 64);
          assertThat(importance[i]).isEqualTo((float) expected);
        }
      }
    }
    Site down =
        stats.keySet().stream()
            .filter(site -> site instanceof Site.ExpertDown && stats.get(site).tokens() > 0)
            .findFirst()
            .orElseThrow();
    InputStats inner = stats.get(down);
    float[] evened = Importance.of(table::stats, down).orElseThrow();
    double sum = 0;
    double before = 0;
    for (int i = 0; i < evened.length; i++) {
      sum += evened[i];
      before += inner.channelMeanSquare()[i];
    }
    assertThat(sum).isCloseTo(before, within(1e-5 * before));
    float[] unseen = Importance.of(table::stats, new Site.ExpertInput(1, 99)).orElseThrow();
    assertThat(unseen).isEqualTo(stats.get(new Site.FeedForwardInput(1)).channelMeanSquare());
  }

  @Test
  void refusesAnotherModel() throws IOException {
    CalibrationTable table = CalibrationTable.open(folder);
    try (ModelSource own = ModelSources.open(ObservedRun.SMALL);
        ModelSource other = ModelSources.open(ObservedRun.MODEL)) {
      table.requireModel(Checkpoint.open(own), own);
      Checkpoint another = Checkpoint.open(other);
      assertThatThrownBy(() -> table.requireModel(another, other))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("another model");
    }
  }

  @Test
  void refusesAModelThatWasTrainedOnFromTheSame(@TempDir Path copy) throws IOException {
    for (String name : List.of("config.json", "model.safetensors")) {
      Files.copy(ObservedRun.SMALL.resolve(name), copy.resolve(name));
    }
    byte[] bytes = Files.readAllBytes(copy.resolve("model.safetensors"));
    for (int i = bytes.length / 2; i < bytes.length; i++) {
      bytes[i] ^= 1;
    }
    Files.write(copy.resolve("model.safetensors"), bytes);
    CalibrationTable table = CalibrationTable.open(folder);
    try (ModelSource other = ModelSources.open(copy)) {
      Checkpoint changed = Checkpoint.open(other);
      assertThatThrownBy(() -> table.requireModel(changed, other))
          .isInstanceOf(BadInputException.class);
    }
  }

  @Test
  void refusesAFolderThatIsNoCompleteTable() throws IOException {
    Path sites = folder.resolve("sites/00000.arrow");
    byte[] bytes = Files.readAllBytes(sites);
    bytes[bytes.length / 2] ^= 1;
    Files.write(sites, bytes);
    assertThatThrownBy(() -> CalibrationTable.open(folder))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("SHA-256");
    Files.delete(folder.resolve(TableIndex.FILE));
    assertThatThrownBy(() -> CalibrationTable.open(folder))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("no calibration.json");
  }
}
