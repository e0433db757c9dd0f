package smelt.converter.target;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.converter.plan.Job;
import smelt.converter.plan.Plan;
import smelt.converter.run.Converting;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.checkpoint.SyntheticCheckpoint.Form;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.ScaleFormat;

class PrecisionTableTest {

  private static final Path PAGE = Checkout.root().resolve("docs/precision.md");

  @Test
  void thePageIsAsTheCode() throws IOException {
    String page = PrecisionTable.page();
    if (Boolean.getBoolean("smelt.record")) {
      Files.writeString(PAGE, page);
    }
    assertThat(Files.readString(PAGE)).isEqualTo(page);
  }

  @Test
  void thePageHasEveryKindOfRole() {
    List<Class<?>> kinds = new ArrayList<>(List.of(TensorRole.class.getPermittedSubclasses()));
    kinds.remove(TensorRole.Foreign.class);
    assertThat(PrecisionTable.kinds()).containsExactlyInAnyOrderElementsOf(kinds);
  }

  @ParameterizedTest
  @EnumSource(Architecture.class)
  void aPlanDoesWhatThePageSays(Architecture architecture, @TempDir Path folder)
      throws IOException {
    Path model =
        SyntheticCheckpoint.of(architecture)
            .wholeGroups()
            .form(Form.FP8_BLOCK)
            .write(folder.resolve("model"));
    Target[] targets = Target.checkpoints().toArray(Target[]::new);
    Plan plan = Converting.to(targets).plan(model);
    List<Job> jobs = plan.units().stream().flatMap(unit -> unit.jobs().stream()).toList();
    assertThat(jobs).isNotEmpty();
    for (Job job : jobs) {
      for (Job.Output any : job.outputs()) {
        Job.Output.Tensor output = (Job.Output.Tensor) any;
        Target target = targets[output.target()];
        Encoding expected =
            Precision.of(target, job.weight().role()) == Precision.QUANTIZED
                ? TargetFormat.of(target, ScaleFormat.FLOAT).quantized().orElseThrow()
                : plain(job.weight().encoding());
        assertThat(output.encoding())
            .as("%s to %s", job.weight().name(), target.label())
            .isEqualTo(expected);
      }
    }
  }

  private static Encoding plain(Encoding source) {
    return source instanceof Encoding.Plain
        ? source
        : new Encoding.Plain(smelt.formats.ElementType.BF16);
  }
}
