package smelt.converter.onepass;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import smelt.converter.SampleModel;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ByteSource;
import smelt.formats.source.CountingModelSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class HeldPartsTest {

  private static MemorySegment read(ModelSource model, SourceTensor tensor, Arena arena)
      throws Exception {
    MemorySegment into = arena.allocate(Math.max(1, tensor.bytes())).asSlice(0, tensor.bytes());
    try (ByteSource file = model.open(tensor.file())) {
      file.read(tensor.offset(), into);
    }
    return into;
  }

  @Test
  void givesEveryTensorAsItIs() throws Exception {
    try (ModelSource source = ModelSources.open(SampleModel.path(SampleModel.FP8));
        Arena arena = Arena.ofConfined()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      try (HeldParts held = new HeldParts(source, checkpoint, HeldParts.Holding.PARTS)) {
        for (Weight weight : checkpoint.weights()) {
          List<SourceTensor> tensors = new ArrayList<>(List.of(weight.codes()));
          weight.scale().ifPresent(tensors::add);
          for (SourceTensor tensor : tensors) {
            assertThat(read(held, tensor, arena).mismatch(read(source, tensor, arena)))
                .as(tensor.name())
                .isEqualTo(-1);
          }
        }
        assertThat(Checkpoint.open(held).weights()).isEqualTo(checkpoint.weights());
      }
    }
  }

  @Test
  void readsAPartOnceHoweverOftenAndByWhomever() throws Exception {
    try (ModelSource origin = ModelSources.open(SampleModel.path(SampleModel.FP8));
        CountingModelSource source = new CountingModelSource(origin);
        ExecutorService threads = Executors.newFixedThreadPool(4)) {
      Checkpoint checkpoint = Checkpoint.open(source);
      List<Weight> expert =
          checkpoint.weights().stream()
              .filter(weight -> Part.of(weight).equals(new Part.Expert(2, 5)))
              .toList();
      assertThat(expert).hasSize(3);
      long before = source.bytesRead();
      try (HeldParts held = new HeldParts(source, checkpoint, HeldParts.Holding.PARTS)) {
        List<Callable<Void>> tasks = new ArrayList<>();
        for (int i = 0; i < 16; i++) {
          Weight weight = expert.get(i % 3);
          tasks.add(() -> {
            try (Arena arena = Arena.ofConfined()) {
              read(held, weight.codes(), arena);
              read(held, weight.scale().orElseThrow(), arena);
            }
            return null;
          });
        }
        for (Future<Void> task : threads.invokeAll(tasks)) {
          task.get();
        }
        long bytes = expert.stream().mapToLong(Weight::bytes).sum();
        assertThat(held.bytesRead()).isEqualTo(bytes);
        assertThat(source.bytesRead() - before).isEqualTo(bytes);
      }
    }
  }

  @Test
  void keepsTheRestOfALayerBesideItsExperts() throws Exception {
    try (ModelSource source = ModelSources.open(SampleModel.path(SampleModel.BF16));
        Arena arena = Arena.ofConfined()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      Weight router = checkpoint.weight("model.layers.1.mlp.gate.weight").orElseThrow();
      Weight expert =
          checkpoint.weight("model.layers.1.mlp.experts.3.up_proj.weight").orElseThrow();
      try (HeldParts held = new HeldParts(source, checkpoint, HeldParts.Holding.PARTS)) {
        read(held, router.codes(), arena);
        read(held, expert.codes(), arena);
        long once = held.bytesRead();
        read(held, router.codes(), arena);
        read(held, expert.codes(), arena);
        assertThat(held.bytesRead()).isEqualTo(once);
      }
    }
  }

  @Test
  void holdsAllExpertsOfALayerWhereTheyAreNeededTogether() throws Exception {
    try (ModelSource source = ModelSources.open(SampleModel.path(SampleModel.BF16));
        Arena arena = Arena.ofConfined()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      List<Weight> experts =
          checkpoint.weights().stream()
              .filter(weight -> weight.name().matches("model\\.layers\\.2\\.mlp\\..*experts.*"))
              .toList();
      assertThat(experts).hasSize(3 * 17);
      long bytes = experts.stream().mapToLong(Weight::bytes).sum();
      assertThat(HeldParts.bytes(checkpoint, HeldParts.Holding.LAYERS)).isGreaterThan(bytes);
      assertThat(HeldParts.bytes(checkpoint, HeldParts.Holding.PARTS)).isLessThan(bytes);
      try (HeldParts held = new HeldParts(source, checkpoint, HeldParts.Holding.LAYERS)) {
        for (Weight weight : experts) {
          read(held, weight.codes(), arena);
        }
        for (Weight weight : experts.reversed()) {
          read(held, weight.codes(), arena);
        }
        assertThat(held.bytesRead()).isEqualTo(bytes);
      }
    }
  }

  @Test
  void holdsTheRestOfALayerBesideItsExpertsWhereATargetReadsItAgain() throws Exception {
    HeldParts.Holding holding = new HeldParts.Holding(false, true);
    try (ModelSource source = ModelSources.open(SampleModel.path(SampleModel.BF16));
        Arena arena = Arena.ofConfined()) {
      Checkpoint checkpoint = Checkpoint.open(source);
      List<Weight> layer =
          checkpoint.weights().stream()
              .filter(weight -> weight.name().startsWith("model.layers.2."))
              .toList();
      List<Weight> others =
          layer.stream().filter(weight -> !weight.name().contains(".experts.")).toList();
      assertThat(others).hasSizeGreaterThan(10);
      try (HeldParts held = new HeldParts(source, checkpoint, holding)) {
        for (List<Weight> weights : List.of(others, layer, others)) {
          for (Weight weight : weights) {
            assertThat(
                    read(held, weight.codes(), arena).mismatch(read(source, weight.codes(), arena)))
                .as(weight.name())
                .isEqualTo(-1);
          }
        }
        assertThat(held.bytesRead()).isEqualTo(layer.stream().mapToLong(Weight::bytes).sum());
      }
      assertThat(HeldParts.bytes(checkpoint, holding))
          .isGreaterThan(HeldParts.bytes(checkpoint, HeldParts.Holding.PARTS));
    }
  }

  @Test
  void everyWeightOfAttentionIsOfItsPart() throws Exception {
    try (ModelSource source = ModelSources.open(SampleModel.path(SampleModel.BF16))) {
      Checkpoint checkpoint = Checkpoint.open(source);
      for (Weight weight : checkpoint.weights()) {
        boolean attention =
            weight.name().contains(".self_attn.") || weight.name().contains(".input_layernorm.");
        assertThat(Part.of(weight) instanceof Part.Attention)
            .as(weight.name())
            .isEqualTo(attention);
      }
    }
  }
}
