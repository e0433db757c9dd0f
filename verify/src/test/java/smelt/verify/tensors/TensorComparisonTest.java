package smelt.verify.tensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.formats.BadInputException;
import smelt.formats.Checkout;
import smelt.formats.ElementType;
import smelt.formats.Share;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.CheckpointDraft;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.checkpoint.SyntheticCheckpoint.Form;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.CountingModelSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;
import smelt.verify.quality.TensorScore;

class TensorComparisonTest {

  private static final String GATE = "model.layers.1.mlp.experts.2.gate_proj.weight";
  private static final String OTHER = "model.layers.1.mlp.experts.5.gate_proj.weight";
  private static final long PLENTY = 1L << 30;

  @TempDir Path folder;

  /// One dense matrix is larger than a piece, and its cut is no multiple of a block.
  private static SyntheticCheckpoint model(Form form) {
    return SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
        .with("intermediate_size", 6000)
        .with("num_hidden_layers", 2)
        .form(form);
  }

  private static SyntheticCheckpoint small(Form form) {
    return SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3).form(form);
  }

  private static TensorComparison.Result compare(Path source, Path result, int threads)
      throws IOException {
    return compare(source, result, threads, "auto");
  }

  private static TensorComparison.Result compare(
      Path source, Path result, int threads, String kernels) throws IOException {
    try (ModelSource a = ModelSources.open(source);
        ModelSource b = ModelSources.open(result)) {
      return TensorComparison.run(
          new ComparedModels(Checkpoint.open(a), a, Checkpoint.open(b), b),
          KernelSet.choose(kernels),
          threads,
          PLENTY,
          _ -> {});
    }
  }

  private static Map<String, TensorScore> byName(TensorComparison.Result result) {
    return result.tensors().stream()
        .collect(Collectors.toMap(TensorScore::tensor, Function.identity()));
  }

  private static Weight weight(Path model, String name) throws IOException {
    try (ModelSource source = ModelSources.open(model)) {
      return Checkpoint.open(source).weight(name).orElseThrow();
    }
  }

  private static void assertAsOracle(Path source, Path result) throws IOException {
    TensorComparison.Result found = compare(source, result, 2);
    assertThat(found.missing()).isEmpty();
    assertThat(found.added()).isEmpty();
    List<Weight> weights = Checkpoint.open(ModelSources.open(result)).weights();
    Checkpoint original = Checkpoint.open(ModelSources.open(source));
    assertThat(found.tensors())
        .extracting(TensorScore::tensor)
        .isEqualTo(weights.stream().map(Weight::name).toList());
    for (int i = 0; i < weights.size(); i++) {
      Weight weight = weights.get(i);
      PlainOracle expected =
          PlainOracle.of(original.weight(weight.name()).orElseThrow(), source, weight, result);
      assertAs(found.tensors().get(i), expected);
    }
  }

  /// The tolerances allow for the oracle's own rounding: a million additions, one after the other.
  private static void assertAs(TensorScore score, PlainOracle expected) {
    String name = score.tensor();
    assertThat(score.bitExact()).as(name).isEqualTo(expected.bitExact());
    assertClose(name, score.sqnrDb(), expected.sqnrDb(), 1e-8);
    assertThat(score.maxAbsError()).as(name).isEqualTo(expected.maxAbsError());
    assertClose(name, score.relativeError(), expected.relativeError(), 1e-10);
    assertClose(name, score.cosine(), expected.cosine(), 1e-9);
    assertThat(score.nonFinite()).as(name).isEqualTo(expected.nonFinite());
    assertThat(score.clippedShare()).as(name).isEqualTo(expected.clippedShare());
  }

  private static void assertClose(String name, double actual, double expected, double tolerance) {
    if (Double.isInfinite(expected)) {
      assertThat(actual).as(name).isEqualTo(expected);
    } else {
      assertThat(actual).as(name).isCloseTo(expected, within(tolerance));
    }
  }

  private static void overwrite(Path model, SourceTensor tensor, long at, byte[] bytes)
      throws IOException {
    try (RandomAccessFile file =
        new RandomAccessFile(model.resolve(tensor.file()).toFile(), "rw")) {
      file.seek(tensor.offset() + at);
      file.write(bytes);
    }
  }

  private static byte[] read(Path model, SourceTensor tensor, long at, int count)
      throws IOException {
    byte[] bytes = new byte[count];
    try (RandomAccessFile file = new RandomAccessFile(model.resolve(tensor.file()).toFile(), "r")) {
      file.seek(tensor.offset() + at);
      file.readFully(bytes);
    }
    return bytes;
  }

  @ParameterizedTest
  @EnumSource
  void figuresOfABf16SourceAreThoseOfAPlainLoop(Form form) throws IOException {
    Path source = model(Form.BF16).write(folder.resolve("a"));
    Path result = Converted.write(model(form).draft(), folder.resolve("b"), source);
    assertAsOracle(source, result);
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "FP8_BLOCK", "INT8_CHANNEL"})
  void figuresOfAnFp8SourceAreThoseOfAPlainLoop(Form form) throws IOException {
    Path source = model(Form.FP8_BLOCK).write(folder.resolve("a"));
    Path result = Converted.write(model(form).draft(), folder.resolve("b"), source);
    assertAsOracle(source, result);
  }

  @Test
  void blocksOfDifferentSizesMeet() throws IOException {
    Path source = model(Form.FP8_BLOCK).write(folder.resolve("a"));
    CheckpointDraft draft = Converted.blocks(model(Form.INT8_BLOCK).draft(), 48, 80);
    Path result = Converted.write(draft, folder.resolve("b"), source);
    assertAsOracle(source, result);
    assertAsOracle(result, source);
  }

  static List<ElementType> otherTypes() {
    return Share.of(List.of(ElementType.F32, ElementType.F16), 1);
  }

  @ParameterizedTest
  @MethodSource("otherTypes")
  void plainSourcesOfOtherTypesAreRead(ElementType type) throws IOException {
    Path bf16 = small(Form.BF16).write(folder.resolve("a"));
    Path source = folder.resolve("source");
    CheckpointDraft draft = Converted.retype(small(Form.BF16).draft(), ElementType.BF16, type);
    if (type == ElementType.F32) {
      Converted.write(draft, source, bf16);
    } else {
      draft.write(source);
      Weight weight = weight(source, GATE);
      byte[] halves = new byte[(int) weight.codes().bytes()];
      for (int i = 0; i < halves.length; i += 2) {
        halves[i] = (byte) (i * 37);
        halves[i + 1] = (byte) (0x20 + i % 8);
      }
      overwrite(source, weight.codes(), 0, halves);
    }
    Path result = Converted.write(small(Form.FP8_BLOCK).draft(), folder.resolve("b"), source);
    assertAsOracle(source, result);
    assertThat(byName(compare(source, result, 1)).get(GATE).from()).isEqualTo(type.name());
  }

  @Test
  void sampleModelsAgreeWithAPlainLoop() throws IOException {
    Path samples = Checkout.root().resolve("samples");
    assertAsOracle(samples.resolve("tiny-deepseek-v3"), samples.resolve("tiny-deepseek-v3-fp8"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"scalar", "vector"})
  void threadsAndKernelsDoNotChangeAnything(String kernels) throws IOException {
    Path source = model(Form.BF16).write(folder.resolve("a"));
    Path result = Converted.write(model(Form.INT8_CHANNEL).draft(), folder.resolve("b"), source);
    TensorComparison.Result one = compare(source, result, 1);
    assertThat(compare(source, result, 2, kernels)).isEqualTo(one);
    assertThat(compare(source, result, 5, kernels)).isEqualTo(one);
  }

  @Test
  void equalModelsAreBitExact() throws IOException {
    Path source = small(Form.FP8_BLOCK).write(folder.resolve("a"));
    assertThat(compare(source, source, 2).tensors())
        .allSatisfy(score -> {
          assertThat(score.bitExact()).isTrue();
          assertThat(score.sqnrDb()).isEqualTo(Double.POSITIVE_INFINITY);
          assertThat(score.maxAbsError()).isZero();
          assertThat(score.relativeError()).isZero();
          assertThat(score.cosine()).isCloseTo(1, within(1e-15));
        });
  }

  @Test
  void tensorsOfZerosHaveDefinedFigures() throws IOException {
    Path zero = folder.resolve("zero");
    small(Form.BF16).draft().write(zero);
    Path other = small(Form.BF16).write(folder.resolve("a"));
    assertThat(compare(zero, zero, 1).tensors())
        .allMatch(s -> s.bitExact() && s.cosine() == 1 && s.relativeError() == 0);
    assertThat(byName(compare(other, zero, 1)).get(GATE))
        .matches(s -> s.sqnrDb() == 0 && s.relativeError() == 1 && s.cosine() == 0);
    assertThat(byName(compare(zero, other, 1)).get(GATE))
        .matches(s -> s.sqnrDb() == Double.NEGATIVE_INFINITY && s.cosine() == 0)
        .matches(s -> s.relativeError() == Double.POSITIVE_INFINITY);
  }

  @Test
  void minusZeroIsNotBitExact() throws IOException {
    Path source = small(Form.BF16).write(folder.resolve("a"));
    Path result = small(Form.BF16).write(folder.resolve("b"));
    overwrite(source, weight(source, GATE).codes(), 0, new byte[] {0, 0});
    overwrite(result, weight(result, GATE).codes(), 0, new byte[] {0, (byte) 0x80});
    TensorScore score = byName(compare(source, result, 1)).get(GATE);
    assertThat(score.bitExact()).isFalse();
    assertThat(score.sqnrDb()).isEqualTo(Double.POSITIVE_INFINITY);
  }

  private Path planted() throws IOException {
    return small(Form.FP8_BLOCK).write(folder.resolve("planted"));
  }

  private static List<String> differing(Path source, Path result) throws IOException {
    return compare(source, result, 2).tensors().stream()
        .filter(s -> !s.bitExact())
        .map(TensorScore::tensor)
        .toList();
  }

  @Test
  void aDoubledScaleShowsInItsTensor() throws IOException {
    Path source = small(Form.FP8_BLOCK).write(folder.resolve("a"));
    Path result = planted();
    SourceTensor scale = weight(result, GATE).scale().orElseThrow();
    byte[] bytes = read(result, scale, 0, (int) scale.bytes());
    for (int i = 3; i < bytes.length; i += 4) {
      bytes[i - 1] ^= (byte) 0x80;
      bytes[i] += (byte) ((bytes[i - 1] & 0x80) == 0 ? 1 : 0);
    }
    overwrite(result, scale, 0, bytes);
    assertThat(differing(source, result)).containsExactly(GATE);
    assertThat(byName(compare(source, result, 1)).get(GATE).sqnrDb()).isCloseTo(0, within(1e-9));
  }

  @Test
  void swappedExpertsShowInTheirTensors() throws IOException {
    Path source = small(Form.FP8_BLOCK).write(folder.resolve("a"));
    Path result = planted();
    SourceTensor one = weight(result, GATE).codes();
    SourceTensor two = weight(result, OTHER).codes();
    overwrite(result, one, 0, read(source, two, 0, (int) two.bytes()));
    overwrite(result, two, 0, read(source, one, 0, (int) one.bytes()));
    assertThat(differing(source, result)).containsExactlyInAnyOrder(GATE, OTHER);
    assertThat(byName(compare(source, result, 1)).get(OTHER).cosine()).isLessThan(0.2);
  }

  @Test
  void aFlippedCodeShowsInItsTensor() throws IOException {
    Path source = small(Form.FP8_BLOCK).write(folder.resolve("a"));
    Path result = planted();
    SourceTensor codes = weight(result, GATE).codes();
    byte[] last = read(result, codes, codes.bytes() - 1, 1);
    last[0] ^= 0x10;
    overwrite(result, codes, codes.bytes() - 1, last);
    assertThat(differing(source, result)).containsExactly(GATE);
    assertAsOracle(source, result);
  }

  @Test
  void aScaleThatIsNanIsCountedAndNotSummed() throws IOException {
    Path source = small(Form.FP8_BLOCK).write(folder.resolve("a"));
    Path result = planted();
    Weight weight = weight(result, GATE);
    overwrite(result, weight.scale().orElseThrow(), 0, new byte[] {0, 0, (byte) 0xC0, 0x7F});
    TensorScore score = byName(compare(source, result, 2)).get(GATE);
    assertThat(score.nonFinite())
        .isEqualTo(Math.min(128, weight.shape().dim(0)) * Math.min(128, weight.shape().dim(1)));
    assertThat(score.sqnrDb()).isEqualTo(Double.POSITIVE_INFINITY);
    assertThat(score.bitExact()).isFalse();
    assertThat(score.scaleMin()).hasValueSatisfying(min -> assertThat(min).isPositive());
    assertAsOracle(source, result);
  }

  @Test
  void aValueThatOnlyTheSourceLacksIsAnInfiniteError() throws IOException {
    Path source = small(Form.BF16).write(folder.resolve("a"));
    Path result = small(Form.BF16).write(folder.resolve("b"));
    overwrite(source, weight(source, GATE).codes(), 0, new byte[] {(byte) 0xC0, 0x7F});
    TensorScore score = byName(compare(source, result, 1)).get(GATE);
    assertThat(score.nonFinite()).isZero();
    assertThat(score.maxAbsError()).isEqualTo(Double.POSITIVE_INFINITY);
  }

  @Test
  void weightsOfOneSideAreNamed() throws IOException {
    Path whole = small(Form.BF16).write(folder.resolve("a"));
    Path less = small(Form.BF16).with("num_nextn_predict_layers", 0).write(folder.resolve("b"));
    TensorComparison.Result found = compare(whole, less, 1);
    assertThat(found.added()).isEmpty();
    assertThat(found.missing())
        .isNotEmpty()
        .allMatch(name -> name.startsWith("model.layers.3."))
        .contains("model.layers.3.eh_proj.weight");
    assertThat(compare(less, whole, 1).added()).isEqualTo(found.missing());
  }

  @Test
  void refusesOtherShapesNamingAll() throws IOException {
    Path a = small(Form.BF16).write(folder.resolve("a"));
    Path b = small(Form.BF16).with("moe_intermediate_size", 64).write(folder.resolve("b"));
    assertThatThrownBy(() -> compare(a, b, 1))
        .isInstanceOfSatisfying(
            BadInputException.class,
            e ->
                assertThat(e.problems())
                    .hasSizeGreaterThan(20)
                    .anyMatch(p -> p.where().contains(GATE)));
  }

  @Test
  void readsBothModelsOnceWithinTheStatedMemory() throws IOException {
    Path source = model(Form.BF16).write(folder.resolve("a"));
    Path result = Converted.write(model(Form.FP8_BLOCK).draft(), folder.resolve("b"), source);
    Checkpoint from = Checkpoint.open(ModelSources.open(source));
    Checkpoint to = Checkpoint.open(ModelSources.open(result));
    CountingModelSource a = new CountingModelSource(ModelSources.open(source));
    CountingModelSource b = new CountingModelSource(ModelSources.open(result));
    long memory = TensorComparison.memoryBytes(from, to, Set.of(), 1);
    AtomicLong progress = new AtomicLong();
    TensorComparison.run(
        new ComparedModels(from, a, to, b),
        KernelSet.choose("auto"),
        8,
        memory,
        progress::addAndGet);
    long read = a.bytesRead() + b.bytesRead();
    assertThat(progress).hasValue(read);
    assertThat(read).isBetween(TensorComparison.bytes(from, to), from.tensorBytes() * 2);
    assertThat(read - TensorComparison.bytes(from, to)).isLessThan(1000);
    assertThat(memory)
        .isLessThan(4L << 20)
        .isEqualTo(TensorComparison.memoryBytes(from, to, Set.of(), 3) / 3);
    assertThatThrownBy(() ->
            TensorComparison.run(
                new ComparedModels(from, a, to, b),
                KernelSet.choose("auto"),
                1,
                memory - 1,
                _ -> {}))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(memory + " bytes for one thread");
  }

  @Test
  void aDiskThatFailsEndsTheComparison() throws IOException {
    Path source = small(Form.BF16).write(folder.resolve("a"));
    Checkpoint from = Checkpoint.open(ModelSources.open(source));
    CountingModelSource broken = new CountingModelSource(ModelSources.open(source), 500_000);
    assertThatThrownBy(() ->
            TensorComparison.run(
                new ComparedModels(from, broken, from, ModelSources.open(source)),
                KernelSet.choose("auto"),
                2,
                PLENTY,
                _ -> {}))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("input/output error");
  }

  @Test
  void countsClippedCodesOfEveryKind() {
    byte[] all = new byte[256 + 5];
    for (int i = 0; i < all.length; i++) {
      all[i] = (byte) i;
    }
    MemorySegment codes = MemorySegment.ofArray(all);
    List<Long> counts =
        Stream.of(ElementType.I8, ElementType.F8_E4M3, ElementType.F8_E5M2)
            .map(type -> ClippedCodes.count(type, codes, 256))
            .toList();
    assertThat(counts).containsExactly(3L, 2L, 2L);
    assertThat(ClippedCodes.count(ElementType.I8, codes.asSlice(125), 7)).isEqualTo(3);
    assertThat(ClippedCodes.count(ElementType.F8_E4M3, codes.asSlice(120), 7)).isEqualTo(1);
  }
}
