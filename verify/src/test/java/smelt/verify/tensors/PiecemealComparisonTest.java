package smelt.verify.tensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class PiecemealComparisonTest {

  private static final long MEMORY = 64L << 20;

  private static Path sample(String name) {
    return Checkout.root().resolve("samples").resolve(name);
  }

  @Test
  void findsInPiecesOfAnyOrderWhatIsFoundAtOnce() throws Exception {
    Kernels kernels = KernelSet.choose("auto");
    try (ModelSource from = ModelSources.open(sample("tiny-deepseek-v3"));
        ModelSource to = ModelSources.open(sample("tiny-deepseek-v3-fp8"))) {
      Checkpoint source = Checkpoint.open(from);
      Checkpoint result = Checkpoint.open(to);
      TensorComparison.Result whole =
          TensorComparison.run(
              new ComparedModels(source, from, result, to), kernels, 2, MEMORY, _ -> {});
      PiecemealComparison pieces =
          new PiecemealComparison(new ComparedModels(source, from, result, to), kernels, 2, MEMORY);
      List<String> names = new ArrayList<>(source.weights().stream().map(Weight::name).toList());
      Collections.shuffle(names, new Random(5));
      pieces.compare(List.of("no.such.weight"));
      for (int i = 0; i < names.size(); i += 7) {
        pieces.compare(names.subList(i, Math.min(names.size(), i + 7)));
      }
      assertThat(pieces.result()).isEqualTo(whole);
    }
  }

  @Test
  void hasNoResultWhileAWeightIsMissing() throws Exception {
    try (ModelSource from = ModelSources.open(sample("tiny-deepseek-v3"))) {
      Checkpoint source = Checkpoint.open(from);
      PiecemealComparison pieces =
          new PiecemealComparison(
              new ComparedModels(source, from, source, from), KernelSet.choose("auto"), 1, MEMORY);
      pieces.compare(source.weights().stream().skip(1).map(Weight::name).toList());
      assertThatThrownBy(pieces::result)
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining(source.weights().getFirst().name());
    }
  }
}
