package smelt.verify.inference;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ByteProgressTest {

  private static final class Counting implements Verification.Watcher {
    private long bytes;

    @Override
    public void starts(long all, long steps) {}

    @Override
    public void read(long more) {
      bytes += more;
    }

    @Override
    public void stepDone() {}

    @Override
    public void check() {}
  }

  @Test
  void noPartTellsMoreThanItWasAnnouncedWith() {
    Counting counting = new Counting();
    ByteProgress progress = new ByteProgress(counting);
    progress.begin(100);
    progress.read(70);
    assertThat(counting.bytes).isEqualTo(70);
    progress.read(50);
    assertThat(counting.bytes).isEqualTo(100);
    progress.complete();
    progress.begin(10);
    assertThat(counting.bytes).isEqualTo(100);
    progress.read(4);
    assertThat(counting.bytes).isEqualTo(104);
  }

  @Test
  void aPartThatNeededLessIsCompleteAtItsEnd() {
    Counting counting = new Counting();
    ByteProgress progress = new ByteProgress(counting);
    progress.begin(100);
    progress.read(30);
    progress.complete();
    assertThat(counting.bytes).isEqualTo(100);
    progress.begin(50);
    progress.begin(50);
    assertThat(counting.bytes).isEqualTo(150);
  }
}
