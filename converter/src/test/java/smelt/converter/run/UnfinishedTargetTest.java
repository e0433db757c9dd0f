package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.SampleModel;
import smelt.converter.plan.Plan;
import smelt.converter.progress.Progress;
import smelt.converter.target.Target;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.KernelSet;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class UnfinishedTargetTest {

  private static final Path MODEL = SampleModel.path(SampleModel.FP8);

  @TempDir private Path folder;

  private static byte[] bytes(ModelSource model, SourceTensor tensor) throws IOException {
    try (ByteSource file = model.open(tensor.file());
        Arena arena = Arena.ofConfined()) {
      MemorySegment into = arena.allocate(tensor.bytes());
      file.read(tensor.offset(), into);
      return into.toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
    }
  }

  @Test
  void isTheModelThatItWillBeWhileItIsWrittenWeightByWeight() throws Exception {
    Converting converting = Converting.to(Target.INT8_CHANNEL);
    Path whole = folder.resolve("whole");
    converting.run(MODEL, whole);
    Plan plan = converting.plan(MODEL);
    Path out = folder.resolve("out");
    try (ModelSource finished = ModelSources.open(whole);
        ModelSource source = ModelSources.open(MODEL);
        OutputFolder output = OutputFolder.open(out, plan, source)) {
      Checkpoint expected = Checkpoint.open(finished);
      ModelSource unfinished = new UnfinishedTarget(out, plan.targets().getFirst());
      Checkpoint checkpoint = Checkpoint.open(unfinished);
      assertThat(checkpoint.weights()).isEqualTo(expected.weights());
      Weight first = checkpoint.weights().getFirst();
      assertThatThrownBy(() -> bytes(unfinished, first.codes()))
          .isInstanceOf(NoSuchFileException.class);
      MemoryPlan memory = MemoryPlan.of(plan, 2, OptionalLong.empty());
      try (StepwiseConversion conversion =
          new StepwiseConversion(
              source,
              plan,
              output,
              Conversion.Means.of(KernelSet.choose("auto")),
              memory,
              new StopSignal(),
              Progress.silent())) {
        for (Weight weight : Checkpoint.open(source).weights().reversed()) {
          conversion.convert(List.of(weight));
          Weight made = checkpoint.weight(weight.name()).orElseThrow();
          assertThat(bytes(unfinished, made.codes())).isEqualTo(bytes(finished, made.codes()));
        }
        assertThat(conversion.result().unitsDone()).isEqualTo(plan.units().size());
      }
      output.publish();
    }
    assertThat(Converting.digests(out)).isEqualTo(Converting.digests(whole));
  }

  @Test
  void leavesNothingUnfinishedWhenItIsClosedInTheMiddle() throws Exception {
    Plan plan = Converting.to(Target.INT8_CHANNEL).plan(MODEL);
    Path out = folder.resolve("out");
    try (ModelSource source = ModelSources.open(MODEL);
        OutputFolder output = OutputFolder.open(out, plan, source)) {
      StepwiseConversion conversion =
          new StepwiseConversion(
              source,
              plan,
              output,
              Conversion.Means.of(KernelSet.choose("auto")),
              MemoryPlan.of(plan, 2, OptionalLong.empty()),
              new StopSignal(),
              Progress.silent());
      conversion.convert(Checkpoint.open(source).weights().subList(0, 2));
      assertThatThrownBy(conversion::result).isInstanceOf(IllegalStateException.class);
      conversion.close();
    }
    assertThat(Files.isDirectory(out)).isTrue();
    assertThat(Converting.names(out)).noneMatch(name -> name.endsWith(".part"));
  }
}
