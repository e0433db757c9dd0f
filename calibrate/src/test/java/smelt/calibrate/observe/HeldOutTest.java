package smelt.calibrate.observe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class HeldOutTest {

  private static List<int[]> sequences(int... lengths) {
    return IntStream.of(lengths).mapToObj(int[]::new).toList();
  }

  private static List<Long> held(List<int[]> sequences, List<Integer> documents) {
    HeldOut held = HeldOut.of(sequences, documents);
    long tokens = sequences.stream().mapToLong(ids -> ids.length).sum();
    List<Long> found =
        IntStream.range(0, (int) tokens).mapToObj(t -> (long) t).filter(held::has).toList();
    assertThat(held.tokens()).isEqualTo(found.size());
    assertThat(held.within(0, tokens).cardinality()).isEqualTo(found.size());
    return found;
  }

  @Test
  void aSingleDocumentIsNotDivided() {
    assertThat(held(sequences(4, 5, 6), List.of(0, 0, 0))).isEmpty();
    assertThat(HeldOut.of(sequences(4), List.of(0))).isSameAs(HeldOut.NONE);
    assertThat(HeldOut.of(List.of(), List.of()).isEmpty()).isTrue();
  }

  @Test
  void ofAFewDocumentsTheSmallestIsHeldOutWhole() {
    assertThat(held(sequences(2, 3, 2, 1), List.of(0, 1, 0, 1))).containsExactly(2L, 3L, 4L, 7L);
    assertThat(held(sequences(3, 2, 3), List.of(0, 1, 2))).containsExactly(3L, 4L);
  }

  @Test
  void ofManyOneOfEachEightIsHeldOutAndNotAlwaysOfTheSameSource() {
    List<Integer> documents = IntStream.range(0, 64).boxed().toList();
    List<int[]> sequences = documents.stream().map(_ -> new int[1]).toList();
    List<Long> held = held(sequences, documents);
    assertThat(held).containsExactly(7L, 12L, 17L, 30L, 35L, 40L, 53L, 58L);
    assertThat(held.stream().map(document -> document % 8)).doesNotHaveDuplicates();
  }

  @Test
  void countsTokensFromAnywhere() {
    HeldOut held = HeldOut.of(sequences(3, 2, 3), List.of(0, 1, 2));
    assertThat(held.within(4, 4).stream()).containsExactly(0);
    assertThat(held.within(1, 2).isEmpty()).isTrue();
  }

  @Test
  void wantsADocumentForEachSequence() {
    assertThatThrownBy(() -> HeldOut.of(sequences(3, 2), List.of(0)))
        .hasMessageContaining("1 documents of 2 sequences");
  }
}
