package smelt.calibrate.pass;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.observe.Coverage;
import smelt.calibrate.observe.HessianChoice;
import smelt.calibrate.observe.InputStats;
import smelt.calibrate.observe.LayerObserver;
import smelt.calibrate.observe.Site;
import smelt.calibrate.observe.TableIndex;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.files.Sha256;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class CalibrationTest {

  private static final Path MODEL = Checkout.root().resolve("samples/tiny-deepseek-v3");
  private static final LayerObserver.Options ALL = new LayerObserver.Options(HessianChoice.ALL, 40);

  @TempDir private static Path shared;
  @TempDir private Path folder;

  private static final class Stopped extends RuntimeException {
    private static final long serialVersionUID = 1;
  }

  /// Stops a run at its nth look, or never.
  @SuppressWarnings("ArrayRecordComponent")
  private record Stopping(int[] looks, int last) implements Calibration.Watcher {
    @Override
    public void check() {
      if (looks[0]++ == last) {
        throw new Stopped();
      }
    }
  }

  private static final Stopping NEVER = new Stopping(new int[1], Integer.MAX_VALUE);

  private static Calibration.Text text(long seed) {
    Random random = new Random(seed);
    List<int[]> sequences =
        Stream.generate(() -> random.ints(25, 0, 1536).toArray()).limit(8).toList();
    return new Calibration.Text(
        sequences,
        List.of(0, 1, 2, 3, 4, 5, 6, 7),
        List.of(new TableIndex.CorpusFile("text", Long.toString(seed))),
        25);
  }

  private record Setup(int threads, OptionalLong memory, LayerObserver.Options options) {
    static final Setup PLAIN = new Setup(2, OptionalLong.empty(), ALL);
  }

  private static Calibration.Result run(
      Path out, Setup setup, Calibration.Text text, Calibration.Watcher watcher)
      throws IOException {
    try (ModelSource source = ModelSources.open(MODEL);
        Compute compute =
            Compute.steady(
                MathKernelSet.choose("auto"), KernelSet.choose("auto"), setup.threads())) {
      Checkpoint checkpoint = Checkpoint.open(source);
      CalibratePlan plan =
          CalibratePlan.of(
              new CalibratePlan.Work(
                  checkpoint, text.tokens(), text.longest(), setup.options(), compute, 0),
              setup.memory());
      Calibration calibration =
          new Calibration(
              new Calibration.Model(source, checkpoint),
              text,
              setup.options(),
              plan,
              compute,
              watcher,
              "test");
      Files.createDirectories(out.resolve(".smelt"));
      return calibration.run(out, out.resolve(".smelt"));
    }
  }

  /// A plain run over a text that nothing stopped: where it wrote, what it told, how often it
  /// looked whether to stop.
  private record Whole(Path folder, Calibration.Result result, int looks) {}

  private static final Map<Long, Whole> WHOLE = new HashMap<>();

  /// Made once for all tests.
  private static Whole whole(long seed) throws IOException {
    Whole made = WHOLE.get(seed);
    if (made == null) {
      Path out = shared.resolve("whole-" + seed);
      int[] looks = new int[1];
      Calibration.Result result = run(out, Setup.PLAIN, text(seed), new Stopping(looks, -1));
      made = new Whole(out, result, looks[0]);
      WHOLE.put(seed, made);
    }
    return made;
  }

  private static Map<String, String> digests(Path out) throws IOException {
    Map<String, String> digests = new TreeMap<>();
    try (Stream<Path> files = Files.walk(out)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        if (!out.relativize(file).startsWith(".smelt")) {
          digests.put(out.relativize(file).toString(), Sha256.hex(Files.readAllBytes(file)));
        }
      }
    }
    return digests;
  }

  @Test
  void threadsAndMemoryDoNotChangeAByte() throws IOException {
    Calibration.Result small = run(folder, new Setup(3, OptionalLong.of(1), ALL), text(1), NEVER);
    assertThat(digests(folder)).isEqualTo(digests(whole(1).folder()));
    assertThat(small.bytesRead()).isEqualTo(whole(1).result().bytesRead());
    CalibrationTable.open(whole(1).folder()).requireIntact();
    try (ModelSource source = ModelSources.open(MODEL)) {
      long model = Checkpoint.open(source).tensorBytes();
      System.out.printf("%d bytes read of %d%n", small.bytesRead(), model);
      assertThat(small.bytesRead()).isLessThanOrEqualTo(model * 102 / 100);
    }
  }

  @Test
  void goesOnBehindTheLastFinishedLayerWhereverItWasStopped() throws IOException {
    Map<String, String> expected = digests(whole(1).folder());
    int looks = whole(1).looks();
    int stops = 0;
    int keptMost = 0;
    for (int last = 3; last < looks; last += looks / 4) {
      Path one = folder.resolve("" + last);
      Stopping stopping = new Stopping(new int[1], last);
      assertThatThrownBy(() -> run(one, Setup.PLAIN, text(1), stopping))
          .isInstanceOf(Stopped.class);
      assertThat(one.resolve(TableIndex.FILE)).doesNotExist();
      Calibration.Result result = run(one, Setup.PLAIN, text(1), NEVER);
      assertThat(digests(one)).as("stopped at look %d", last).isEqualTo(expected);
      keptMost = Math.max(keptMost, result.layersKept());
      stops++;
    }
    System.out.printf("stopped at %d of %d looks; up to %d layers kept%n", stops, looks, keptMost);
    assertThat(stops).isGreaterThanOrEqualTo(4);
    assertThat(keptMost).isGreaterThanOrEqualTo(3);
  }

  @Test
  void doesNotGoOnWithLayersOfAnotherText() throws IOException {
    Stopping stopping = new Stopping(new int[1], 100);
    assertThatThrownBy(() -> run(folder, Setup.PLAIN, text(1), stopping))
        .isInstanceOf(Stopped.class);
    assertThat(run(folder, Setup.PLAIN, text(2), NEVER).layersKept()).isZero();
    assertThat(digests(folder)).isEqualTo(digests(whole(2).folder()));
  }

  @Test
  void doesNotGoBackToLayersWhoseHiddenStatesAnotherTextHasOverwritten() throws IOException {
    Stopping late = new Stopping(new int[1], 100);
    assertThatThrownBy(() -> run(folder, Setup.PLAIN, text(1), late)).isInstanceOf(Stopped.class);
    Stopping early = new Stopping(new int[1], 5);
    assertThatThrownBy(() -> run(folder, Setup.PLAIN, text(2), early)).isInstanceOf(Stopped.class);
    var _ = run(folder, Setup.PLAIN, text(1), NEVER);
    assertThat(digests(folder)).isEqualTo(digests(whole(1).folder()));
  }

  /// Sequences do not see each other, so another text in the place of the one held out changes what
  /// is judged by and nothing that is chosen from.
  @Test
  void nothingIsChosenFromWhatIsHeldOut() throws IOException {
    List<int[]> changed = new ArrayList<>(text(1).sequences());
    changed.set(7, text(2).sequences().get(7));
    Calibration.Text other =
        new Calibration.Text(changed, text(1).documents(), text(1).files(), 25);
    Setup setup =
        new Setup(2, OptionalLong.empty(), new LayerObserver.Options(HessianChoice.ALL, 0));
    var _ = run(folder.resolve("a"), setup, text(1), NEVER);
    var _ = run(folder.resolve("b"), setup, other, NEVER);
    CalibrationTable a = CalibrationTable.open(folder.resolve("a"));
    CalibrationTable b = CalibrationTable.open(folder.resolve("b"));
    assertThat(a.index().settings().heldOut()).isEqualTo(25);
    int compared = 0;
    for (Site site : a.sites()) {
      InputStats one = a.stats(site).orElseThrow();
      InputStats two = b.stats(site).orElse(one);
      if (one.tokens() > 0) {
        assertThat(two.tokens()).as(site.toString()).isEqualTo(one.tokens());
        assertThat(two.channelMeanSquare()).as(site.toString()).isEqualTo(one.channelMeanSquare());
        compared++;
      }
    }
    assertThat(compared).isGreaterThan(100);
    Map<String, String> before = digests(folder.resolve("a"));
    Map<String, String> after = digests(folder.resolve("b"));
    before.forEach((name, digest) -> {
      if (name.startsWith("hessians/") && after.containsKey(name)) {
        assertThat(after.get(name).equals(digest)).as(name).isEqualTo(!name.contains("held_out"));
      }
    });
    assertThat(before.keySet()).contains("hessians/00001.attention_output.held_out.safetensors");
  }

  @Test
  void givesStarvedExpertsTheNearestTokensForTheirDownAlone() throws IOException {
    Calibration.Result result = whole(1).result();
    CalibrationTable table = CalibrationTable.open(whole(1).folder());
    int forced = 0;
    for (int layer = 1; layer < result.index().model().layers(); layer++) {
      Coverage coverage = table.coverage(layer);
      for (int e = 0; e < coverage.experts().size(); e++) {
        Coverage.Expert expert = coverage.experts().get(e);
        long missing = Math.max(0, 40 - expert.tokens());
        assertThat(expert.forced()).isEqualTo(missing);
        assertThat(expert.down())
            .isEqualTo(missing > 0 ? Coverage.Source.FORCED : Coverage.Source.OWN);
        assertThat(tokens(table, new Site.ExpertDown(layer, e)))
            .isEqualTo(expert.tokens() + missing);
        assertThat(tokens(table, new Site.ExpertInput(layer, e))).isEqualTo(expert.tokens());
        forced += missing > 0 ? 1 : 0;
      }
    }
    assertThat(forced).as("starved experts").isPositive();
    assertThat(result.index().cost().forced()).isPositive();
  }

  private static long tokens(CalibrationTable table, Site site) throws IOException {
    return table.stats(site).map(seen -> seen.tokens() + seen.heldOutTokens()).orElse(0L);
  }
}
