package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.SampleModel;
import smelt.converter.plan.Job;
import smelt.converter.plan.Plan;
import smelt.converter.plan.ShardLayout;
import smelt.converter.plan.TargetPlan;
import smelt.converter.plan.Unit;
import smelt.converter.progress.Progress;
import smelt.converter.recipe.Recipes;
import smelt.converter.target.Target;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.KernelSet;
import smelt.formats.experts.ExpertTensor;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class UnfinishedTargetTest {

  private static final Path MODEL = SampleModel.path(SampleModel.FP8);

  @TempDir private Path folder;

  private static StepwiseConversion stepwise(ModelSource source, Plan plan, OutputFolder output) {
    return new StepwiseConversion(
        source,
        plan,
        output,
        Conversion.Means.of(KernelSet.choose("auto")),
        MemoryPlan.of(plan, 2, OptionalLong.empty()),
        new StopSignal(),
        Progress.silent());
  }

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
      UnfinishedTarget unfinished = new UnfinishedTarget(out, plan.targets().getFirst());
      Checkpoint checkpoint = Checkpoint.open(unfinished);
      assertThat(checkpoint.weights()).isEqualTo(expected.weights());
      Weight first = checkpoint.weights().getFirst();
      assertThat(bytes(unfinished, first.codes())).as("of the plan").containsOnly(0);
      unfinished.begin();
      assertThatThrownBy(() -> bytes(unfinished, first.codes()))
          .isInstanceOf(NoSuchFileException.class);
      try (StepwiseConversion conversion = stepwise(source, plan, output)) {
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
  void knowsTensorsThatAreMadeOfNoWeight() throws Exception {
    Path llama = Checkout.root().resolve("calibrate/src/test/resources/models/llama/model");
    Converting converting = converting("  - {target: gguf, type: f32}\n");
    Path whole = folder.resolve("whole");
    converting.run(llama, whole);
    TargetPlan target = converting.plan(llama).targets().getFirst();
    TargetPlan.Shard shard = target.shards().getFirst();
    assertThat(shard.constants()).containsOnlyKeys("rope_freqs.weight");
    try (ModelSource made = ModelSources.open(whole);
        UnfinishedTarget complete = new UnfinishedTarget(whole, target);
        ModelSource planned = new UnfinishedTarget(folder.resolve("nowhere"), target)) {
      byte[] file = all(made, shard.name());
      complete.begin();
      assertThat(all(complete, shard.name())).isEqualTo(file);
      ShardLayout.Part freqs = shard.layout().part("rope_freqs.weight");
      int at = Math.toIntExact(freqs.offset());
      int header = shard.layout().header().length;
      byte[] known = all(planned, shard.name());
      assertThat(Arrays.mismatch(known, 0, header, file, 0, header)).isEqualTo(-1);
      int end = at + Math.toIntExact(freqs.bytes());
      assertThat(Arrays.mismatch(known, at, end, file, at, end)).isEqualTo(-1);
      assertThat(Arrays.copyOfRange(known, end, known.length)).containsOnly(0);
    }
  }

  @Test
  void readsTreesWhileTheyAreWrittenAndAfterwards() throws Exception {
    Converting converting = converting("  - {target: kt-amx-int8, form: tree, numa: 2}\n");
    Path whole = folder.resolve("whole");
    converting.run(MODEL, whole);
    Plan plan = converting.plan(MODEL);
    Path out = folder.resolve("out");
    int read = 0;
    try (ModelSource made = ModelSources.open(whole);
        ModelSource source = ModelSources.open(MODEL);
        OutputFolder output = OutputFolder.open(out, plan, source);
        StepwiseConversion conversion = stepwise(source, plan, output)) {
      UnfinishedTarget unfinished = new UnfinishedTarget(out, plan.targets().getFirst());
      unfinished.begin();
      for (Unit unit : plan.units()) {
        for (Job job : unit.jobs()) {
          conversion.convert(List.of(job.weight()));
          for (ExpertTensor.Content content : ExpertTensor.Content.values()) {
            for (String name : files(unfinished, job.weight(), content)) {
              assertThat(all(unfinished, name)).as(name).isEqualTo(all(made, name));
              read++;
            }
          }
        }
      }
      assertThat(Converting.names(out)).anyMatch(name -> name.endsWith(".kt"));
    }
    assertThat(read).isEqualTo(2 * 2 * plan.units().stream().mapToInt(u -> u.jobs().size()).sum());
  }

  /// Files of a weight in a tree.
  private static List<String> files(
      ModelSource model, Weight weight, ExpertTensor.Content content) {
    TensorRole.RoutedExpert role = (TensorRole.RoutedExpert) weight.role();
    return model.names().stream()
        .filter(name ->
            ExpertTensor.ofPath(name)
                .map(ExpertTensor.KtFile::tensor)
                .filter(slice ->
                    slice.layer() == role.layerIndex()
                        && slice.expert() == role.expert()
                        && slice.projection() == role.projection()
                        && slice.content() == content)
                .isPresent())
        .toList();
  }

  private Converting converting(String targets) throws IOException {
    Path own = folder.resolve("own.yaml");
    Files.writeString(own, "name: own\nshard_size: 3M\ntargets:\n" + targets);
    return Converting.with(Recipes.load(own.toString()));
  }

  private static byte[] all(ModelSource model, String name) throws IOException {
    try (ByteSource file = model.open(name);
        Arena arena = Arena.ofConfined()) {
      MemorySegment into = arena.allocate(file.size());
      file.read(0, into);
      return into.toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
    }
  }

  @Test
  void leavesNothingUnfinishedWhenItIsClosedInTheMiddle() throws Exception {
    Plan plan = Converting.to(Target.INT8_CHANNEL).plan(MODEL);
    Path out = folder.resolve("out");
    try (ModelSource source = ModelSources.open(MODEL);
        OutputFolder output = OutputFolder.open(out, plan, source)) {
      StepwiseConversion conversion = stepwise(source, plan, output);
      conversion.convert(Checkpoint.open(source).weights().subList(0, 2));
      assertThatThrownBy(conversion::result).isInstanceOf(IllegalStateException.class);
      conversion.close();
    }
    assertThat(Files.isDirectory(out)).isTrue();
    assertThat(Converting.names(out)).noneMatch(name -> name.endsWith(".part"));
  }
}
