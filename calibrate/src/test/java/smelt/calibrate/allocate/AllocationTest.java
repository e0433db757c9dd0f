package smelt.calibrate.allocate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AllocationTest {

  private static final double[] BITS = {3.4, 4.5, 5.5, 6.6, 8.5};

  /// Tensors of many sizes and sensitivities; each bit more takes about 6 dB off the error, not
  /// evenly.
  private static List<Item> items(int count, long seed, int unit) {
    Random random = new Random(seed);
    List<Item> items = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      long elements = (1 + random.nextInt(12)) * (long) unit;
      double sensitivity = Math.exp(2 * random.nextGaussian());
      List<Choice> choices = new ArrayList<>();
      for (int b = 0; b < BITS.length; b++) {
        double error = sensitivity * Math.pow(4, -BITS[b]) * (0.7 + 0.6 * random.nextDouble());
        choices.add(new Choice("b" + b, Math.round(elements * BITS[b] / 8), error));
      }
      items.add(Item.of("t" + i, choices));
    }
    return items;
  }

  /// The least error of any assignment, by the bytes used so far: no idea is shared with what is
  /// tested.
  private static double best(List<Item> items, int budget) {
    double[] least = new double[budget + 1];
    for (Item item : items) {
      double[] next = new double[budget + 1];
      Arrays.fill(next, Double.POSITIVE_INFINITY);
      for (Choice choice : item.choices()) {
        int bytes = Math.toIntExact(choice.bytes());
        for (int b = bytes; b <= budget; b++) {
          next[b] = Math.min(next[b], least[b - bytes] + choice.error());
        }
      }
      least = next;
    }
    return least[budget];
  }

  private static int at(List<Item> items, double share) {
    Allocation.Range range = Allocation.range(items);
    return (int) (range.leastBytes() + share * (range.mostBytes() - range.leastBytes()));
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void findsTheOptimumOfTwentyTensors(long seed) {
    List<Item> items = items(20, seed, 100);
    for (double share : new double[] {0, 0.03, 0.21, 0.5, 0.77, 0.98, 1}) {
      int budget = at(items, share);
      double optimum = best(items, budget);
      Allocation found = Allocation.underBudget(items, budget);
      assertThat(found.bytes()).isLessThanOrEqualTo(budget);
      assertThat(found.error()).isCloseTo(optimum, within(1e-12 * optimum));
      assertThat(found.bound()).isLessThanOrEqualTo(optimum * (1 + 1e-12));
      assertThat(found.gap()).isLessThan(1e-12);
      assertThat(found.schemes()).hasSize(20);
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4})
  void certifiesTwoHundredAndFortyTensors(long seed) {
    List<Item> items = items(240, seed, 5_000_017);
    long uniform = Allocation.uniform(items, "b1").bytes();
    Allocation found = Allocation.underBudget(items, uniform);
    assertThat(found.bytes()).isLessThanOrEqualTo(uniform);
    assertThat(found.bound()).isLessThanOrEqualTo(found.error());
    assertThat(found.gap()).isBetween(0.0, 0.005);
    double before = Allocation.uniform(items, "b1").error();
    assertThat(10 * Math.log10(before / found.error())).isGreaterThan(3);
  }

  @Test
  void theBoundHoldsForWhatIsNotSearchedToTheEnd() {
    List<Item> items = items(2_000, 9, 1_000_003);
    Allocation found = Allocation.underBudget(items, Allocation.uniform(items, "b2").bytes());
    assertThat(found.gap()).isBetween(0.0, 0.001);
    assertThat(found.bound()).isLessThanOrEqualTo(found.error());
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void findsTheFewestBytesForAnError(long seed) {
    List<Item> items = items(20, seed, 40);
    for (double share : new double[] {0.1, 0.5, 0.9}) {
      int budget = at(items, share);
      double error = best(items, budget);
      Allocation found = Allocation.underError(items, error);
      assertThat(found.error()).isLessThanOrEqualTo(error);
      assertThat(found.bytes()).isLessThanOrEqualTo(budget);
      assertThat(best(items, (int) found.bytes() - 1)).isGreaterThan(error);
      assertThat(found.gap()).isLessThan(1e-9);
    }
  }

  @Test
  void refusesWhatCannotBeReached() {
    List<Item> items = items(5, 1, 100);
    Allocation.Range range = Allocation.range(items);
    assertThat(Allocation.underBudget(items, range.leastBytes()).bytes())
        .isEqualTo(range.leastBytes());
    assertThatThrownBy(() -> Allocation.underBudget(items, range.leastBytes() - 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("at least");
    double least = range.leastError();
    assertThat(Allocation.underError(items, least).error()).isEqualTo(least);
    assertThatThrownBy(() -> Allocation.underError(items, least * 0.999))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void moreBytesThanCanBeUsedAreNotUsed() {
    List<Item> items = items(6, 3, 100);
    Allocation.Range range = Allocation.range(items);
    Allocation found = Allocation.underBudget(items, Long.MAX_VALUE / 4);
    assertThat(found.bytes()).isEqualTo(range.mostBytes());
    assertThat(found.error()).isEqualTo(range.leastError());
    assertThat(found.gap()).isZero();
  }

  @Test
  void membersOfAGroupGetOneScheme() {
    List<Item> items = new ArrayList<>(items(9, 4, 100));
    for (int i = 0; i < 9; i++) {
      if (i % 3 != 0) {
        items.set(i, items.get(i).inGroup("pair" + i / 3));
      }
    }
    int budget = at(items, 0.4);
    Allocation found = Allocation.underBudget(items, budget);
    double optimum = Double.POSITIVE_INFINITY;
    for (int code = 0; code < 15_625; code++) {
      optimum = Math.min(optimum, grouped(items, code, budget));
    }
    for (int pair = 0; pair < 3; pair++) {
      assertThat(found.schemes().get("t" + (3 * pair + 1)).scheme())
          .isEqualTo(found.schemes().get("t" + (3 * pair + 2)).scheme());
    }
    assertThat(found.error()).isCloseTo(optimum, within(1e-12 * optimum));
    assertThat(found.bytes()).isLessThanOrEqualTo(budget);
  }

  /// Error of the assignment whose digits in base 5 are the schemes of three items alone and three
  /// pairs; infinite if it does not fit.
  private static double grouped(List<Item> items, int code, int budget) {
    long bytes = 0;
    double error = 0;
    int left = code;
    for (int i = 0; i < 9; i++) {
      int digit = left % 5;
      if (i % 3 != 1) {
        left /= 5;
      }
      bytes += items.get(i).choices().get(digit).bytes();
      error += items.get(i).choices().get(digit).error();
    }
    return bytes <= budget ? error : Double.POSITIVE_INFINITY;
  }

  @Test
  void pinnedItemsKeepTheirScheme() {
    List<Item> items = new ArrayList<>(items(8, 5, 100));
    items.set(2, items.get(2).pinnedTo("b4"));
    items.set(6, items.get(6).pinnedTo("b0").inGroup("g"));
    items.set(7, items.get(7).inGroup("g"));
    Allocation found = Allocation.underBudget(items, at(items, 0.3));
    assertThat(found.schemes().get("t2").scheme()).isEqualTo("b4");
    assertThat(found.schemes().get("t6").scheme()).isEqualTo("b0");
    assertThat(found.schemes().get("t7").scheme()).isEqualTo("b0");
    assertThat(Allocation.uniform(items, "b1").schemes().get("t2").scheme()).isEqualTo("b4");
  }

  @Test
  void refusesGroupsWithoutACommonScheme() {
    Item a = Item.of("a", List.of(new Choice("x", 1, 1), new Choice("y", 2, 0))).inGroup("g");
    Item b = Item.of("b", List.of(new Choice("z", 1, 1))).inGroup("g");
    assertThatThrownBy(() -> Allocation.underBudget(List.of(a, b), 10))
        .hasMessageContaining("no scheme that all of a, b may have");
    assertThatThrownBy(() -> Allocation.underBudget(List.of(a.pinnedTo("x"), a.pinnedTo("y")), 10))
        .hasMessageContaining("no scheme");
  }

  /// A scheme that takes more bytes and loses more, as measured errors of noise may have it.
  @Test
  void neverTakesAChoiceThatIsWorseInBoth() {
    List<Choice> odd =
        List.of(new Choice("a", 10, 1.0), new Choice("b", 20, 1.5), new Choice("c", 30, 0.5));
    Allocation found = Allocation.underBudget(List.of(Item.of("t", odd)), 29);
    assertThat(found.schemes().get("t").scheme()).isEqualTo("a");
  }

  @Test
  void equalChoicesAreMadeInOrder() {
    List<Item> items = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      items.add(Item.of("t" + i, List.of(new Choice("lo", 10, 1), new Choice("hi", 20, 0.5))));
    }
    Allocation found = Allocation.underBudget(items, 80);
    assertThat(found.schemes().values().stream().map(Choice::scheme))
        .containsExactly("hi", "hi", "lo", "lo", "lo", "lo");
    assertThat(found.gap()).isZero();
    assertThat(Allocation.underBudget(items, 89)).isEqualTo(found);
  }

  @Test
  void itemsKeepTheirOrder() {
    List<Item> items = items(30, 6, 100);
    Allocation found = Allocation.underBudget(items, at(items, 0.5));
    assertThat(found.schemes().keySet())
        .containsExactlyElementsOf(items.stream().map(Item::name).toList());
  }

  /// Each part alone loses little, but both together break the model: predictions say otherwise,
  /// measuring does not.
  @Test
  void keepsTheUniformSchemeWhereErrorsDoNotAddUp() {
    List<Item> items =
        List.of(
            Item.of("a", List.of(new Choice("q4", 4, 1e-3), new Choice("q8", 8, 5e-4))),
            Item.of("b", List.of(new Choice("q4", 4, 1e-3), new Choice("q8", 8, 5e-4))),
            Item.of(
                "c",
                List.of(
                    new Choice("q4", 4, 8e-2),
                    new Choice("q6", 6, 3e-2),
                    new Choice("q12", 12, 1e-4))));
    Allocation found = Allocation.underBudget(items, 20);
    assertThat(found.schemes().get("c").scheme()).isEqualTo("q12");
    double measured = 0.9;
    double uniform = 0.05;
    NeverWorse choice = NeverWorse.choose(found.error(), measured, uniform);
    assertThat(choice.allocated()).isFalse();
    assertThat(choice.misjudged()).isTrue();
    assertThat(choice.reason())
        .startsWith(
            "The uniform scheme is kept, because the allocation is worse: measured 9.000e-01")
        .contains("uniform 5.000e-02")
        .contains("do not add up");
    NeverWorse kept = NeverWorse.choose(found.error(), found.error() * 1.2, uniform);
    assertThat(kept.allocated()).isTrue();
    assertThat(kept.misjudged()).isFalse();
    assertThat(NeverWorse.choose(1e-3, Double.NaN, 1e-2).allocated()).isFalse();
  }
}
