package smelt.calibrate.observe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assertions.withinPercentage;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import smelt.calibrate.observe.ObservedRun.Keeping;
import smelt.calibrate.observe.ObservedRun.Setup;

class LayerObserverTest {

  static List<Path> models() {
    return List.of(ObservedRun.MODEL, ObservedRun.SMALL);
  }

  /// All that was found at a site, in a form that can be compared.
  private record Found(
      long tokens,
      float min,
      float max,
      List<Float> absmax,
      List<Float> meanSquare,
      List<Long> histogram,
      List<Float> hessian) {}

  private static Map<Site, Found> found(Setup setup) throws IOException {
    Map<Site, Found> all = new HashMap<>();
    var _ =
        ObservedRun.run(
            setup,
            observer -> {
              for (Site site : observer.sites()) {
                all.put(site, found(observer, site));
              }
            });
    return all;
  }

  private static Found found(LayerObserver observer, Site site) {
    InputStats stats = observer.stats(site).orElseThrow();
    List<Long> counts = new ArrayList<>();
    stats
        .histogram()
        .ifPresent(h -> {
          for (int bin = 0; bin < Histogram.BINS; bin++) {
            counts.add(h.count(bin));
          }
        });
    List<Float> hessian = new ArrayList<>();
    try (Arena arena = Arena.ofShared()) {
      observer
          .hessian(site, arena)
          .ifPresent(h -> {
            for (long i = 0; i < h.channels(); i++) {
              for (long j = 0; j < h.channels(); j++) {
                hessian.add(h.values().get(i, j));
              }
            }
          });
    }
    return new Found(
        stats.tokens(),
        stats.min(),
        stats.max(),
        floats(stats.channelAbsmax()),
        floats(stats.channelMeanSquare()),
        counts,
        hessian);
  }

  private static List<Float> floats(float[] numbers) {
    List<Float> list = new ArrayList<>();
    for (float number : numbers) {
      list.add(number);
    }
    return list;
  }

  @ParameterizedTest
  @MethodSource("models")
  void findsWhatAPlainLoopFinds(Path model) throws IOException {
    Map<Site, Found> all = new HashMap<>();
    Keeping seen =
        ObservedRun.run(
            new Setup(model, 2, false, HessianChoice.NONE),
            observer -> observer.sites().forEach(site -> all.put(site, found(observer, site))));
    assertThat(all.keySet()).isEqualTo(seen.rows.keySet());
    all.forEach((site, found) -> assertPlain(site, found, seen.rows.get(site)));
  }

  private static void assertPlain(Site site, Found found, List<float[]> rows) {
    assertThat(found.tokens).as(site.toString()).isEqualTo(rows.size());
    float min = 0;
    float max = 0;
    long[] counts = new long[Histogram.BINS];
    for (int channel = 0; channel < found.absmax.size(); channel++) {
      float absmax = 0;
      double squares = 0;
      for (float[] row : rows) {
        absmax = Math.max(absmax, Math.abs(row[channel]));
        squares += (double) row[channel] * row[channel];
        min = Math.min(min, row[channel]);
        max = Math.max(max, row[channel]);
        counts[Histogram.bin(row[channel])]++;
      }
      assertThat(found.absmax.get(channel)).as("%s %d", site, channel).isEqualTo(absmax);
      assertThat(found.meanSquare.get(channel))
          .as("%s %d", site, channel)
          .isEqualTo((float) (squares / rows.size()));
    }
    assertThat(found.min).isEqualTo(min);
    assertThat(found.max).isEqualTo(max);
    for (int bin = 0; bin < found.histogram.size(); bin++) {
      assertThat(found.histogram.get(bin)).isEqualTo(counts[bin]);
    }
    boolean ofExpert = site instanceof Site.ExpertInput || site instanceof Site.ExpertDown;
    assertThat(found.histogram.isEmpty()).isEqualTo(ofExpert);
  }

  @Test
  void aHessianIsTheMeanOfTheProducts() throws IOException {
    Map<Site, Found> all = new HashMap<>();
    Keeping seen =
        ObservedRun.run(
            new Setup(ObservedRun.SMALL),
            observer -> observer.sites().forEach(site -> all.put(site, found(observer, site))));
    int compared = 0;
    for (Map.Entry<Site, Found> entry : all.entrySet()) {
      List<Float> hessian = entry.getValue().hessian;
      List<float[]> rows = seen.rows.get(entry.getKey());
      int n = rows.getFirst().length;
      assertThat(hessian).hasSize(entry.getKey() instanceof Site.HeadInput ? 0 : n * n);
      for (int i = 0; i < hessian.size(); i++) {
        double sum = 0;
        double magnitudes = 0;
        for (float[] row : rows) {
          sum += (double) row[i / n] * row[i % n];
          magnitudes += Math.abs((double) row[i / n] * row[i % n]);
        }
        // A chain of up to 512 fused multiply-adds, then one rounding of the mean.
        double bound = (513 * 0x1p-24 * magnitudes + 1e-30) / rows.size();
        assertThat((double) hessian.get(i)).isCloseTo(sum / rows.size(), within(bound));
        assertThat(hessian.get(i)).isEqualTo(hessian.get(i % n * n + i / n));
        compared++;
      }
    }
    assertThat(compared).isGreaterThan(10_000);
  }

  @ParameterizedTest
  @MethodSource("models")
  void keepsWhatIsHeldOutApart(Path model) throws IOException {
    Map<Site, InputStats> all = new HashMap<>();
    Map<Site, Hessian> held = new HashMap<>();
    try (Arena arena = Arena.ofShared()) {
      Keeping seen =
          ObservedRun.run(
              new Setup(model, 2, true, HessianChoice.ALL).held(),
              observer -> {
                for (Site site : observer.sites()) {
                  all.put(site, observer.stats(site).orElseThrow());
                  observer.heldOutHessian(site, arena).ifPresent(h -> held.put(site, h));
                }
              });
      int experts = 0;
      for (Site site : all.keySet()) {
        List<float[]> rows = seen.rows.get(site);
        List<Integer> tokens = tokens(site, seen);
        assertThat(tokens).as(site.toString()).hasSameSizeAs(rows);
        List<float[]> apart =
            IntStream.range(0, rows.size())
                .filter(i -> tokens.get(i) >= 40 && tokens.get(i) < 71)
                .mapToObj(rows::get)
                .toList();
        List<float[]> others = rows.stream().filter(row -> !apart.contains(row)).toList();
        InputStats stats = all.get(site);
        assertThat(stats.heldOutTokens()).as(site.toString()).isEqualTo(apart.size());
        assertThat(stats.tokens()).isEqualTo(others.size());
        assertThat(stats.heldOutMeanSquare()).isEqualTo(means(apart, stats.channels()));
        assertThat(stats.channelMeanSquare()).isEqualTo(means(others, stats.channels()));
        boolean kept =
            !apart.isEmpty()
                && !(site instanceof Site.ExpertInput)
                && !(site instanceof Site.HeadInput);
        assertThat(held.containsKey(site)).as(site.toString()).isEqualTo(kept);
        if (kept) {
          assertThat(held.get(site).tokens()).isEqualTo(apart.size());
          for (int i = 0; i < stats.channels(); i++) {
            assertThat(held.get(site).values().get(i, i))
                .isCloseTo(stats.heldOutMeanSquare()[i], withinPercentage(1e-3));
          }
        }
        experts += site instanceof Site.ExpertDown && !apart.isEmpty() ? 1 : 0;
      }
      assertThat(experts).isGreaterThan(3);
    }
  }

  /// The token of each row of a site.
  private static List<Integer> tokens(Site site, Keeping seen) {
    return switch (site) {
      case Site.ExpertInput _ -> seen.tokens.get(site);
      case Site.ExpertDown(int layer, int expert) ->
          seen.tokens.get(new Site.ExpertInput(layer, expert));
      default -> IntStream.range(0, seen.rows.get(site).size()).boxed().toList();
    };
  }

  private static float[] means(List<float[]> rows, int channels) {
    float[] means = new float[channels];
    for (int channel = 0; channel < channels; channel++) {
      double sum = 0;
      for (float[] row : rows) {
        sum += (double) row[channel] * row[channel];
      }
      means[channel] = rows.isEmpty() ? 0 : (float) (sum / rows.size());
    }
    return means;
  }

  @Test
  void neitherThreadsNorMemoryChangeAnything() throws IOException {
    Map<Site, Found> one = found(new Setup(ObservedRun.MODEL, 1, false, HessianChoice.POOL));
    Map<Site, Found> three = found(new Setup(ObservedRun.MODEL, 3, true, HessianChoice.POOL));
    assertThat(three.keySet()).isEqualTo(one.keySet());
    one.forEach((site, found) -> assertThat(three.get(site)).as("" + site).isEqualTo(found));
  }

  @Test
  void countsWhatTheRouterGaveToEachExpert() throws IOException {
    Map<Integer, Coverage> coverage = new HashMap<>();
    Keeping seen =
        ObservedRun.run(
            new Setup(ObservedRun.MODEL, 2, true, HessianChoice.NONE),
            observer -> coverage.put(observer.layer(), observer.coverage()));
    assertThat(coverage.get(0).experts()).isEmpty();
    Coverage layer = coverage.get(2);
    long sum = 0;
    double mass = 0;
    for (int expert = 0; expert < layer.experts().size(); expert++) {
      Coverage.Expert found = layer.experts().get(expert);
      int rows = seen.rows.getOrDefault(new Site.ExpertInput(2, expert), List.of()).size();
      assertThat(found.tokens()).isEqualTo(rows);
      assertThat(found.effective()).isBetween(0.0, rows + 1e-9);
      sum += rows;
      mass += found.mass();
    }
    assertThat(layer.tokens()).isEqualTo(111);
    assertThat(sum).isEqualTo(111 * 4);
    assertThat(mass).isCloseTo(111 * 2.5, within(1e-3));
  }
}
