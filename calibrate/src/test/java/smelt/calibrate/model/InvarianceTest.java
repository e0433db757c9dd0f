package smelt.calibrate.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.calibrate.model.SampleRun.Setup;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.TensorRole;

/// What must not change the result does not change it. With scalar kernels the sums are the same
/// sums, so the results are the same bits.
class InvarianceTest {

  private static final Setup SCALAR = Setup.PLAIN.kernels("scalar");

  /// Logits of random ids are of the order of 10; this is some hundred times their rounding.
  private static final float ROUNDING = 2e-4f;

  @TempDir private Path temp;

  private static Path sample() {
    return Checkout.root().resolve("samples/tiny-deepseek-v3");
  }

  private static int[] ids(int count, long seed) {
    return new Random(seed).ints(count, 0, 1536).toArray();
  }

  @Test
  void aLaterTokenChangesNothingBefore() throws IOException {
    int[] ids = ids(40, 1);
    int[] changed = ids.clone();
    changed[25] = (ids[25] + 7) % 1536;
    float[][] one = SampleRun.of(sample(), List.of(ids), SCALAR).logits();
    float[][] other = SampleRun.of(sample(), List.of(changed), SCALAR).logits();
    assertThat(Arrays.copyOf(other, 25)).isDeepEqualTo(Arrays.copyOf(one, 25));
    for (int token = 25; token < 40; token++) {
      assertThat(other[token]).as("token %d", token).isNotEqualTo(one[token]);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"scalar", "auto"})
  void sequencesDoNotSeeEachOther(String kernels) throws IOException {
    Setup setup = Setup.PLAIN.kernels(kernels);
    int[] one = ids(30, 2);
    int[] two = ids(17, 3);
    int[] three = ids(1, 4);
    float[][] together = SampleRun.of(sample(), List.of(one, two, three), setup).logits();
    float[][] first = SampleRun.of(sample(), List.of(three, one), setup).logits();
    float[][] second = SampleRun.of(sample(), List.of(two), setup).logits();
    float tolerance = kernels.equals("scalar") ? 0 : ROUNDING;
    assertClose(Arrays.copyOfRange(together, 0, 30), Arrays.copyOfRange(first, 1, 31), tolerance);
    assertClose(Arrays.copyOfRange(together, 30, 47), second, tolerance);
    assertClose(Arrays.copyOfRange(together, 47, 48), Arrays.copyOf(first, 1), tolerance);
  }

  /// Whole groups are exchanged, and experts within them, with their rows of the router and their
  /// biases.
  @Test
  void theOrderOfExpertsMeansNothing() throws IOException {
    int[] order = {7, 4, 5, 6, 15, 14, 12, 13, 1, 0, 3, 2, 8, 9, 10, 11};
    EditableModel model = EditableModel.copy(sample(), temp);
    for (int layer = 1; layer <= 3; layer++) {
      permute(model, layer, order);
    }
    List<int[]> sequences = List.of(ids(50, 5));
    SampleRun own = SampleRun.of(sample(), sequences, SCALAR);
    SampleRun permuted = SampleRun.of(temp, sequences, SCALAR);
    assertClose(permuted.logits(), own.logits(), ROUNDING);
    for (int layer = 0; layer < 3; layer++) {
      for (int token = 0; token < 50; token++) {
        for (int rank = 0; rank < 4; rank++) {
          int expert = permuted.routings().get(layer).expert(token, rank);
          assertThat(order[expert]).isEqualTo(own.routings().get(layer).expert(token, rank));
        }
      }
    }
  }

  /// Expert `e` of the result is expert `order[e]`.
  private static void permute(EditableModel model, int layer, int[] order) throws IOException {
    for (Projection p : Projection.values()) {
      List<SourceTensor> tensors =
          IntStream.range(0, order.length)
              .mapToObj(e -> model.weight(new TensorRole.RoutedExpert(layer, e, p)).codes())
              .toList();
      byte[][] bytes = new byte[order.length][];
      for (int e = 0; e < order.length; e++) {
        bytes[e] = model.read(tensors.get(e));
      }
      for (int e = 0; e < order.length; e++) {
        model.write(tensors.get(e), bytes[order[e]]);
      }
    }
    permuteRows(model, new TensorRole.Router(layer), order);
    permuteRows(model, new TensorRole.RouterBias(layer), order);
  }

  private static void permuteRows(EditableModel model, TensorRole role, int[] order)
      throws IOException {
    SourceTensor tensor = model.weight(role).codes();
    byte[] bytes = model.read(tensor);
    byte[] permuted = new byte[bytes.length];
    int row = bytes.length / order.length;
    for (int e = 0; e < order.length; e++) {
      System.arraycopy(bytes, order[e] * row, permuted, e * row, row);
    }
    model.write(tensor, permuted);
  }

  @Test
  void prescribingTheOwnExpertsChangesNothing() throws IOException {
    List<int[]> sequences = List.of(ids(20, 6), ids(12, 7));
    SampleRun free = SampleRun.of(sample(), sequences, SCALAR);
    // The first expert layer follows itself; the others follow it too, with their own weights.
    Forced forced = new Forced(0, free.routings().get(0));
    SampleRun first =
        SampleRun.of(
            sample(),
            sequences,
            SCALAR.options(new LayerOptions(Activations.NONE, Optional.of(forced))));
    assertThat(first.layerHidden().get(2)).isDeepEqualTo(free.layerHidden().get(2));
    assertThat(first.layerHidden().get(3)).isNotEqualTo(free.layerHidden().get(3));
    for (Routing routing : first.routings()) {
      for (int token = 0; token < 32; token++) {
        double sum = 0;
        for (int rank = 0; rank < 4; rank++) {
          assertThat(routing.expert(token, rank)).isEqualTo(forced.routing().expert(token, rank));
          sum += routing.weight(token, rank);
        }
        assertThat(sum).as("weights are renormalised and scaled").isCloseTo(2.5, within(1e-5));
      }
    }
  }

  @Test
  void prescribedExpertsHoldForTheirTokensOnly() throws IOException {
    List<int[]> sequences = List.of(ids(10, 8), ids(10, 9));
    SampleRun free = SampleRun.of(sample(), sequences, SCALAR);
    Routing prescribed = new Routing(4, 10);
    for (int token = 0; token < 10; token++) {
      for (int rank = 0; rank < 4; rank++) {
        prescribed.set(token, rank, 12 + rank, 0);
      }
    }
    Forced forced = new Forced(10, prescribed);
    SampleRun half =
        SampleRun.of(
            sample(),
            sequences,
            SCALAR.options(new LayerOptions(Activations.NONE, Optional.of(forced))));
    assertThat(Arrays.copyOf(half.logits(), 10)).isDeepEqualTo(Arrays.copyOf(free.logits(), 10));
    assertThat(half.routings().get(1).expert(9, 0)).isEqualTo(free.routings().get(1).expert(9, 0));
    assertThat(half.routings().get(1).expert(10, 3)).isEqualTo(15);
  }

  @Test
  void expertsCanBePrescribedForSeveralCopiesOfTheText() throws IOException {
    Routing chosen = SampleRun.of(sample(), List.of(ids(10, 8)), SCALAR).routings().get(1);
    Forced forced = new Forced(10, 2, chosen);
    assertThat(forced.covers(9)).isFalse();
    assertThat(forced.covers(29)).isTrue();
    assertThat(forced.covers(30)).isFalse();
    for (int rank = 0; rank < 4; rank++) {
      assertThat(forced.expert(13, rank)).isEqualTo(chosen.expert(3, rank));
      assertThat(forced.expert(23, rank)).isEqualTo(chosen.expert(3, rank));
    }
  }

  private static void assertClose(float[][] found, float[][] expected, float tolerance) {
    assertThat(found.length).isEqualTo(expected.length);
    float worst = 0;
    for (int i = 0; i < found.length; i++) {
      for (int j = 0; j < found[i].length; j++) {
        worst = Math.max(worst, Math.abs(found[i][j] - expected[i][j]));
      }
    }
    assertThat(worst).isLessThanOrEqualTo(tolerance);
  }
}
