package smelt.verify.inference;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import smelt.verify.quality.Looks;

class VerifyPlanTest {

  private static VerifyPlan plan(List<int[]> texts, Looks looks, OptionalLong budget)
      throws Exception {
    try (ModelSource from = ModelSources.open(Comparing.sample("tiny-deepseek-v3"));
        Compute compute =
            Compute.steady(MathKernelSet.choose("scalar"), KernelSet.choose("scalar"), 1)) {
      Checkpoint model = Checkpoint.open(from);
      List<Integer> lengths = texts.stream().map(ids -> ids.length).toList();
      return VerifyPlan.of(new VerifyPlan.Work(model, model, lengths, compute, 0, looks), budget);
    }
  }

  private static List<Integer> sizes(VerifyPlan plan, List<int[]> texts) {
    return plan.rounds(texts).stream().map(List::size).toList();
  }

  @Test
  void aRoundEndsWithEachLook() throws Exception {
    List<int[]> texts = Comparing.texts(16, 200);
    Looks looks = Looks.onTheWay(texts.stream().map(ids -> ids.length).toList());
    VerifyPlan free = plan(texts, looks, OptionalLong.empty());
    assertThat(sizes(free, texts)).containsExactly(4, 4, 8);
    assertThat(free.rounds()).isEqualTo(3);
    VerifyPlan once = plan(texts, Looks.atTheEnd(16), OptionalLong.empty());
    assertThat(sizes(once, texts)).containsExactly(16);
    assertThat(free.peak()).as("half of the text at once").isLessThan(once.peak());
    VerifyPlan tight = plan(texts, looks, OptionalLong.of(free.peak() - (3L << 20)));
    assertThat(tight.peak()).isLessThan(free.peak());
    assertThat(sizes(tight, texts).stream().mapToInt(Integer::intValue).sum()).isEqualTo(16);
    assertThat(tight.rounds()).isEqualTo(sizes(tight, texts).size()).isGreaterThan(3);
  }

  @Test
  void sumsForTheLimitsOfLayersArePartOfThePlan() throws Exception {
    List<int[]> texts = Comparing.texts(50, 4);
    VerifyPlan plan = plan(texts, Looks.atTheEnd(50), OptionalLong.empty());
    assertThat(plan.parts()).containsEntry("limits", 96L * 4 * 50);
  }
}
