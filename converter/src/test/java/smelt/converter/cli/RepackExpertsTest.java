package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static smelt.converter.cli.Repacker.SAMPLE;

import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.converter.run.Converting;
import smelt.converter.target.Target;

/// Experts in other files with the same numbers: layers 1 to 3 of the sample, 16 experts of [128,
/// 256].
class RepackExpertsTest {

  @TempDir Path folder;
  private Repacker run;

  @BeforeEach
  void start() {
    run = new Repacker(folder);
  }

  @Test
  void anotherNumberOfNodesIsAsIfConvertedAndBackToTheByte() throws Exception {
    run.convert("kt-amx-int8", "one");
    run.convert("{target: kt-amx-int8, numa: 2}", "two");
    run.repack("one", "cut", "--model", SAMPLE, "--numa", "2", "--threads", "1");
    assertThat(run.weights("cut")).isEqualTo(run.weights("two"));
    run.repack("cut", "joined", "--model", SAMPLE, "--numa", "1");
    assertThat(run.weights("joined")).isEqualTo(run.weights("one"));
    assertThat(run.diff("one", "cut", "--model", SAMPLE)).isZero();
  }

  @Test
  void rowsOfInt8BecomeExpertsAndRowsAgain() throws Exception {
    run.convert("int8-channel", "rows");
    run.convert("{target: kt-amx-int8, numa: 2}", "direct");
    run.repack("rows", "experts", "--to", "kt-amx-int8", "--numa", "2");
    assertThat(run.weights("experts").values())
        .containsExactlyElementsOf(run.weights("direct").values());
    assertThat(run.diff("experts", "rows", "--model", SAMPLE)).isZero();
    run.repack("experts", "joined", "--model", run.path("rows"), "--numa", "1");
    run.repack("joined", "again", "--model", run.path("rows"), "--to", "int8-channel");
    assertThat(run.weights("again")).isEqualTo(run.weights("rows"));
  }

  /// Its weights have no scales; the packed ones have, and each counts as a name.
  @Test
  void expertsOfABf16ModelAreAllAccountedFor() throws Exception {
    Path model = SampleModel.path(SampleModel.BF16);
    Converting.to(Target.KT_AMX_INT8).run(model, folder.resolve("one"));
    run.repack("one", "two", "--model", model.toString(), "--numa", "2");
  }

  @Test
  void aLayoutForOtherProcessorsHoldsTheSameNumbers() throws Exception {
    run.convert("kt-amx-int4", "int4");
    run.repack("int4", "int8", "--model", SAMPLE, "--to", "kt-aocl-int8", "--numa", "4");
    assertThat(run.diff("int4", "int8", "--model", SAMPLE)).isZero();
    Program.Result result =
        Program.run("repack", run.path("int8"), "--plan", "--model", SAMPLE, "--to", "kt-amx-int4");
    assertThat(result.exit()).isEqualTo(ExitCode.USAGE.code());
    assertThat(result.err())
        .contains("codes up to 127, which would be quantized again")
        .contains("expected codes up to 7");
  }

  @Test
  void slicesThatWereQuantizedApartAreNotJoined() throws Exception {
    run.convert("{target: kt-aocl-int8, numa: 2, rule: upstream}", "apart");
    Program.Result result =
        Program.run(
            "repack", run.path("apart"), "-o", run.path("out"), "--model", SAMPLE, "--numa", "1");
    assertThat(result.exit()).isEqualTo(ExitCode.BAD_SOURCE.code());
    assertThat(result.err())
        .contains("model.layers.1.mlp.experts.0.down_proj.weight, layer 1, expert 0, row 1")
        .contains("from column 64 on")
        .contains("would be quantized again");
    assertThat(folder.resolve("out")).doesNotExist();
    run.repack("apart", "finer", "--model", SAMPLE, "--numa", "4");
    assertThat(run.diff("apart", "finer", "--model", SAMPLE)).isZero();
  }

  @Test
  void whatWouldBeRoundedIsRefused() {
    Program.Result result = Program.run("repack", SAMPLE, "--plan", "--to", "kt-amx-int8");
    assertThat(result.exit()).isEqualTo(ExitCode.USAGE.code());
    assertThat(result.err())
        .contains("model.layers.1.mlp.experts.0.gate_proj.weight")
        .contains("which would be quantized again for kt-amx-int8");
    Program.Result rows = Program.run("repack", SAMPLE, "--plan", "--to", "int8-channel");
    assertThat(rows.exit()).isEqualTo(ExitCode.USAGE.code());
    assertThat(rows.err()).contains("which would be quantized again for int8-channel");
  }

  @Test
  void differentNumbersAreADifference() throws Exception {
    run.convert("kt-amx-int8", "ours");
    run.convert("{target: kt-amx-int8, rule: upstream}", "theirs");
    assertThat(run.diff("ours", "theirs", "--model", SAMPLE))
        .isEqualTo(ExitCode.BOUND_FAILED.code());
  }

  @Test
  void thePlanIsExactAndASecondRunHasNothingToDo() throws Exception {
    run.convert("kt-amx-int8", "one");
    Program.Result plan =
        Program.run(
            "repack", run.path("one"), "--plan", "--model", SAMPLE, "--numa", "2", "--json");
    assertThat(plan.exit()).as(plan.err()).isZero();
    run.repack("one", "two", "--model", SAMPLE, "--numa", "2", "--shard-size", "4GiB");
    assertThat(plan.out()).contains("\"output_bytes\": " + run.bytes("two"));
    Program.Result again =
        Program.run(
            "repack", run.path("one"), "-o", run.path("two"), "--model", SAMPLE, "--numa", "2");
    assertThat(again.exit()).isZero();
    assertThat(again.err()).contains("nothing to do");
  }
}
