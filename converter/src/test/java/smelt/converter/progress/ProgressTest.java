package smelt.converter.progress;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ProgressTest {

  private final StringWriter text = new StringWriter();
  private final PrintWriter out = new PrintWriter(text);

  @Test
  void aSnapshotShowsRateUnitsAndTimeLeft() {
    Snapshot half = new Snapshot(1_500_000_000L, 3_000_000_000L, 5, 12, Duration.ofSeconds(2));
    assertThat(half.line("convert"))
        .isEqualTo("convert   50 %  1.50 of 3.00 GB  0.75 GB/s  units 5/12  ETA 0:02");
    assertThat(half.lastLine("convert")).endsWith("units 5/12  in 0:02");
  }

  @Test
  void longTimesShowHours() {
    Snapshot slow = new Snapshot(1, 3_601, 0, 1, Duration.ofSeconds(1));
    assertThat(slow.line("x")).endsWith("ETA 1:00:00");
  }

  @Test
  void nothingDoneYetHasNoTimeLeft() {
    assertThat(new Snapshot(0, 10, 0, 1, Duration.ofSeconds(1)).line("x")).endsWith("ETA --:--");
    assertThat(new Snapshot(0, 0, 0, 0, Duration.ZERO).line("x")).contains("100 %");
  }

  @Test
  void countsFromManyThreads() throws InterruptedException {
    Progress progress = Progress.lines("convert", out);
    progress.start(4_000, 40);
    List<Thread> threads = new ArrayList<>();
    for (int t = 0; t < 4; t++) {
      threads.add(
          Thread.ofPlatform()
              .start(() -> {
                for (int i = 0; i < 10; i++) {
                  progress.advance(100);
                  progress.unitDone();
                }
              }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    progress.close();
    assertThat(progress.bytes()).isEqualTo(4_000);
    assertThat(text.toString()).contains("100 %").contains("units 40/40");
  }

  @Test
  void plainLinesHaveNoControlCharacters() {
    try (Progress progress = Progress.lines("convert", out)) {
      progress.start(10, 1);
      progress.advance(10);
    }
    assertThat(text.toString()).matches("convert[^\\p{Cntrl}]*\\R");
  }

  @Test
  void aTerminalLineIsRewrittenAndCutToTheWidth() throws InterruptedException {
    try (Progress progress = Progress.rewriting("convert", out, 30)) {
      progress.start(10, 1);
      Thread.sleep(600);
      progress.advance(10);
    }
    List<String> writes = List.of(text.toString().split("\r"));
    assertThat(writes).hasSizeGreaterThan(2);
    assertThat(writes.subList(1, writes.size()))
        .allSatisfy(line -> assertThat(line.replace("\u001b[K", "").strip()).hasSizeLessThan(30));
    assertThat(text.toString()).endsWith("\n");
  }

  @Test
  void silenceIsSilentAndClosingTwiceIsHarmless() {
    Progress silent = Progress.silent();
    silent.start(10, 1);
    silent.advance(10);
    silent.close();
    silent.close();
    Progress lines = Progress.lines("x", out);
    lines.start(10, 1);
    lines.close();
    lines.close();
    assertThat(text.toString().lines()).hasSize(1);
  }
}
