package smelt.calibrate.sensitivity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import smelt.calibrate.allocate.Allocation;
import smelt.calibrate.allocate.Item;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.MathKernelSet;
import smelt.calibrate.model.ReferenceModel;
import smelt.formats.Checkout;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.gguf.GgmlType;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class SensitivityTest {

  private static final long MEMORY = 64L << 20;

  private static ModelSource source;
  private static Compute compute;
  private static ReferenceModel model;
  private static List<ModelPart> parts;
  private static List<int[]> texts;

  @BeforeAll
  static void open() throws IOException {
    Path folder = Checkout.root().resolve("samples/tiny-deepseek-v3");
    source = ModelSources.open(folder);
    compute = Compute.steady(MathKernelSet.choose("auto"), KernelSet.choose("auto"), 2);
    Checkpoint checkpoint = Checkpoint.open(source);
    model = ReferenceModel.open(checkpoint, source, compute, 64L << 20);
    parts = ModelPart.of(checkpoint, model.spec().layerCount());
    Random random = new Random(5);
    texts = List.of(random.ints(20, 2, 1536).toArray(), random.ints(28, 2, 1536).toArray());
  }

  @AfterAll
  static void close() throws IOException {
    model.close();
    compute.close();
    source.close();
  }

  private static Scheme scheme(String name, Encoding encoding) {
    return new Scheme(
        name, _ -> Optional.of(encoding), weight -> encoding.codeBytes(weight.shape().elements()));
  }

  private static Scheme ggml(GgmlType type) {
    return scheme(type.name(), new Encoding.Ggml(type));
  }

  private static final Scheme PLAIN =
      new Scheme("plain", _ -> Optional.empty(), weight -> 2 * weight.shape().elements());

  private static List<Item> measure(long memory, List<ModelPart> of, Scheme... schemes)
      throws IOException {
    return new Sensitivity(model, texts, 2, memory).measure(of, List.of(schemes), _ -> {});
  }

  @Test
  void namesThePartsOfEachLayer() {
    assertThat(parts)
        .extracting(ModelPart::name)
        .startsWith("layer 0 attention", "layer 0 kv_b", "layer 0 dense.in", "layer 0 dense.out")
        .contains("layer 3 experts.in", "layer 3 experts.out", "layer 3 shared.out")
        .endsWith("head")
        .hasSize(4 + 3 * 6 + 1);
    ModelPart experts =
        parts.stream().filter(p -> p.name().equals("layer 2 experts.in")).findFirst().orElseThrow();
    assertThat(experts.weights()).hasSize(32);
  }

  @Test
  void aSchemeThatHoldsEveryNumberLosesNothing() throws IOException {
    List<Item> items =
        measure(MEMORY, parts, scheme("bf16", new Encoding.Plain(ElementType.BF16)), PLAIN);
    for (Item item : items) {
      assertThat(item.choice("bf16").error()).as(item.name()).isZero();
      assertThat(item.choice("plain").error()).isZero();
    }
  }

  @Test
  void fewerBitsLoseMore() throws IOException {
    List<Item> items =
        measure(MEMORY, parts, ggml(GgmlType.Q8_0), ggml(GgmlType.Q5_0), ggml(GgmlType.Q4_0));
    for (Item item : items) {
      double q8 = item.choice("Q8_0").error();
      double q4 = item.choice("Q4_0").error();
      assertThat(q8).as(item.name()).isPositive().isLessThan(0.1 * q4);
      assertThat(item.choice("Q5_0").error()).as(item.name()).isBetween(q8, q4);
      assertThat(item.choice("Q4_0").bytes()).isLessThan(item.choice("Q5_0").bytes());
    }
  }

  @Test
  void howManyProbesGoTogetherChangesNothing() throws IOException {
    List<ModelPart> some = new ArrayList<>(parts.subList(2, 9));
    some.add(parts.getLast());
    Scheme[] schemes = {
      ggml(GgmlType.Q4_0),
      scheme(
          "block",
          new Encoding.Block(ElementType.I8, 128, 128, ElementType.F32, ScaleFormat.FLOAT)),
      scheme("channel", new Encoding.Channel(ElementType.I8, ElementType.F32)),
      scheme("int4", new Encoding.Int4(128, ElementType.BF16, -8))
    };
    List<Item> together = measure(MEMORY, some, schemes);
    List<Item> alone = measure(1, some, schemes);
    assertThat(new Sensitivity(model, texts, 2, 1).probesOfRound()).isEqualTo(1);
    assertThat(new Sensitivity(model, texts, 2, MEMORY).probesOfRound()).isGreaterThan(32);
    for (int i = 0; i < some.size(); i++) {
      for (Scheme scheme : schemes) {
        double one = alone.get(i).choice(scheme.name()).error();
        assertThat(one).isPositive();
        assertThat(together.get(i).choice(scheme.name()).error())
            .as(some.get(i).name() + " in " + scheme.name())
            .isCloseTo(one, within(1e-3 * one));
      }
    }
  }

  @Test
  void predictionsOfAWholeModelAreNearWhatIsMeasured() throws IOException {
    Scheme q5 = ggml(GgmlType.Q5_0);
    Scheme q8 = ggml(GgmlType.Q8_0);
    Sensitivity sensitivity = new Sensitivity(model, texts, 2, MEMORY);
    List<Item> items = sensitivity.measure(parts, List.of(q5, q8), _ -> {});
    for (Scheme scheme : List.of(q5, q8)) {
      Map<ModelPart, Scheme> all = new HashMap<>();
      parts.forEach(part -> all.put(part, scheme));
      double measured = sensitivity.measure(all);
      double predicted = Allocation.uniform(items, scheme.name()).error();
      assertThat(measured).as(scheme.name()).isBetween(predicted / 4, predicted * 4);
    }
  }
}
