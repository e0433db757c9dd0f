package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import smelt.converter.Program;
import smelt.converter.SampleModel;
import smelt.converter.SmallDisk;
import smelt.converter.run.Converting;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Every way in which `smelt convert` ends, by the real program on a real model.
class ConvertEndsTest {

  @TempDir Path folder;
  private Path out;
  private Path recipe;

  @BeforeEach
  void prepare() throws IOException {
    out = folder.resolve("out");
    recipe = folder.resolve("small.yaml");
    Files.writeString(recipe, "name: small\ntargets: [int8-channel]\nshard_size: 2MiB\n");
  }

  private Program.Result convert(Path model, Path output, String... more) {
    return Program.run(words(model, output, more));
  }

  private String[] words(Path model, Path output, String... more) {
    List<String> words =
        new ArrayList<>(List.of("convert", model.toString(), "--recipe", recipe.toString()));
    words.addAll(List.of("-o", output.toString(), "--quiet", "--kernels", "scalar"));
    words.addAll(List.of(more));
    return words.toArray(String[]::new);
  }

  private Path sample() {
    return SampleModel.path(SampleModel.FP8);
  }

  private Map<String, String> wholeOutput() throws IOException {
    Path whole = folder.resolve("whole");
    assertThat(convert(sample(), whole).exit()).isZero();
    return Converting.digests(whole);
  }

  private static void isRefused(Program.Result result, int exit, String... said) {
    assertThat(result.err()).contains("error: ").contains(said).contains("help: ");
    assertThat(result.err()).doesNotContain("\tat ");
    assertThat(result.exit()).as(result.err()).isEqualTo(exit);
  }

  @Test
  void aCompleteOutputIsLeftAlone() throws IOException {
    assertThat(convert(sample(), out).exit()).isZero();
    Map<String, String> before = Converting.digests(out);
    Program.Result again = convert(sample(), out);
    assertThat(again.exit()).isZero();
    assertThat(again.err()).contains("nothing to do").contains(out.toString());
    assertThat(Converting.digests(out)).isEqualTo(before);
    assertThat(out.resolve(".smelt")).doesNotExist();
  }

  @ParameterizedTest
  @CsvSource({
    "--recipe=no-such-recipe, no-such-recipe",
    "--memory=much, much",
    "--threads=0, 0",
    "--kernels=fast, '--kernels'",
    "--sped=1, --sped"
  })
  void aWrongCommandLineEndsWith2(String option, String said) {
    Program.Result result =
        option.startsWith("--recipe")
            ? Program.run("convert", sample().toString(), option, "-o", out.toString())
            : Program.run(
                "convert", sample().toString(), "--recipe=bf16", option, "-o", out.toString());
    assertThat(result.err()).contains("error: ").contains(said);
    assertThat(result.exit()).as(result.err()).isEqualTo(2);
    assertThat(out).doesNotExist();
  }

  @Test
  void aWeightThatIsNoNumberEndsWith3AndItsPlaceAndKeepsOnlyFinishedUnits() throws IOException {
    Path model = SampleModel.copy(SampleModel.FP8, folder.resolve("model"));
    Weight weight = weight(model, "model.layers.3.mlp.experts.5.down_proj.weight");
    long index = 1234;
    poke(model.resolve(weight.codes().file()), weight.codes().offset() + index, 0x7F);
    Program.Result result = convert(model, out, "--threads", "1");
    long cols = weight.codes().shape().dim(1);
    isRefused(
        result,
        3,
        weight.codes().file(),
        "tensor " + weight.codes().name() + ", byte " + (weight.codes().offset() + index),
        "row " + index / cols + ", column " + index % cols,
        "expected finite weights");
    List<String> names = Converting.names(out);
    long shards = names.stream().filter(n -> n.endsWith(".safetensors")).count();
    long receipts = names.stream().filter(n -> n.startsWith(".smelt/receipts/unit-")).count();
    assertThat(shards).isPositive().isEqualTo(receipts);
    assertThat(names).hasSize((int) (shards + receipts + 2));
    Files.copy(
        sample().resolve(weight.codes().file()),
        model.resolve(weight.codes().file()),
        StandardCopyOption.REPLACE_EXISTING);
    assertThat(convert(model, out).exit()).isZero();
    assertThat(Converting.digests(out)).isEqualTo(wholeOutput());
  }

  private static Weight weight(Path model, String name) throws IOException {
    try (ModelSource source = ModelSources.open(model)) {
      return Checkpoint.open(source).weights().stream()
          .filter(w -> w.name().equals(name))
          .findFirst()
          .orElseThrow();
    }
  }

  private static void poke(Path file, long at, int value) throws IOException {
    try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
      open.seek(at);
      open.write(value);
    }
  }

  @Test
  void aDamagedHeaderEndsWith3AndWritesNothing() throws IOException {
    Path model = SampleModel.copy(SampleModel.FP8, folder.resolve("model"));
    poke(model.resolve("model-00002-of-00003.safetensors"), 8, 'x');
    isRefused(convert(model, out), 3, "model-00002-of-00003.safetensors");
    assertThat(out).doesNotExist();
  }

  @Test
  void anUnknownArchitectureEndsWith3AndWritesNothing() throws IOException {
    Path model = SampleModel.copy(SampleModel.FP8, folder.resolve("model"));
    Path config = model.resolve("config.json");
    Files.writeString(
        config, Files.readString(config).replace("DeepseekV3ForCausalLM", "GptForCausalLM"));
    Program.Result result = convert(model, out);
    assertThat(result.err()).contains("error: ").contains("GptForCausalLM").contains("supported");
    assertThat(result.exit()).isEqualTo(3);
    assertThat(out).doesNotExist();
  }

  @Test
  void tooLittleMemoryEndsWith4AndTheNumbers() {
    isRefused(convert(sample(), out, "--memory", "64M"), 4, "64 MiB", "help: give at least", "MiB");
    assertThat(out).doesNotExist();
  }

  @Test
  void kernelsThatAreMissingEndWith4AndTheReason() {
    String[] words = {
      "convert", sample().toString(), "--recipe=bf16", "-o", out.toString(), "--kernels=vector"
    };
    isRefused(Program.smelt().bare().go(words), 4, "--kernels vector", "--add-modules");
    assertThat(out).doesNotExist();
  }

  @Test
  void tooSmallADiskEndsWith4AndTheNumbersAndWritesNothing() throws Exception {
    try (SmallDisk disk = SmallDisk.mount(folder.resolve("disk"), "size=4m")) {
      isRefused(
          convert(sample(), disk.path().resolve("out")),
          4,
          "of free disk space (4194304 bytes)",
          "bytes) for the output",
          "or choose another folder");
      assertThat(Converting.names(disk.path())).isEmpty();
    }
  }

  @Test
  void aDiskThatOthersFillEndsWith4AndGoesOnWhenThereIsRoom() throws Exception {
    try (SmallDisk disk = SmallDisk.mount(folder.resolve("disk"), "size=20m")) {
      Path there = disk.path().resolve("out");
      Path messages = folder.resolve("messages");
      Process process =
          Program.smelt()
              .start(
                  messages,
                  "convert",
                  sample().toString(),
                  "--recipe",
                  recipe.toString(),
                  "-o",
                  there.toString());
      while (!Files.exists(there.resolve(".smelt/plan.sha256"))) {
        assertThat(process.isAlive()).isTrue();
        Thread.sleep(1);
      }
      Path filler = disk.fill();
      int exit = process.waitFor();
      assertThat(Files.readString(messages))
          .contains("No space left on device")
          .contains(there.toString())
          .contains("make room and run the same command again");
      assertThat(exit).isEqualTo(4);
      assertThat(Converting.names(there)).noneMatch(n -> n.endsWith(".safetensors.part"));
      Files.delete(filler);
      assertThat(convert(sample(), there).exit()).isZero();
      assertThat(Converting.digests(there)).isEqualTo(wholeOutput());
    }
  }

  @Test
  void anotherPlansOutputEndsWith5AndStaysAsItIs() throws IOException {
    assertThat(convert(sample(), out).exit()).isZero();
    Map<String, String> before = Converting.digests(out);
    Files.writeString(recipe, "name: small\ntargets: [bf16]\nshard_size: 2MiB\n");
    isRefused(convert(sample(), out), 5, "the output of another plan", "choose another output");
    assertThat(Converting.digests(out)).isEqualTo(before);
    assertThat(out.resolve(".smelt")).doesNotExist();
  }

  @Test
  void aFolderWithOtherFilesEndsWith5AndStaysAsItIs() throws IOException {
    Files.createDirectories(out);
    Files.writeString(out.resolve("thesis.txt"), "irreplaceable");
    isRefused(convert(sample(), out), 5, "such as thesis.txt", "choose another output");
    assertThat(Converting.names(out)).containsExactly("thesis.txt");
    isRefused(convert(sample(), out.resolve("thesis.txt/out")), 5, "thesis.txt", "found a file");
  }

  @Test
  void anOutputInOrAroundTheModelEndsWith5() throws IOException {
    Path model = SampleModel.copy(SampleModel.FP8, folder.resolve("models/model"));
    Map<String, String> before = Converting.digests(model);
    Path link = Files.createSymbolicLink(folder.resolve("link"), model);
    isRefused(convert(model, model), 5, "the model's own folder");
    isRefused(convert(model, link), 5, "the model's own folder");
    isRefused(convert(model, link.resolve("deep/out")), 5, "a folder inside the model");
    isRefused(convert(link, model.resolve("out")), 5, "a folder inside the model");
    isRefused(convert(model, folder.resolve("models")), 5, "a folder that holds the model");
    assertThat(Converting.digests(model)).isEqualTo(before);
  }

  @Test
  void anOutputThroughALinkIsAsGoodAsAnyAndADeadLinkIsNot() throws IOException {
    Path real = Files.createDirectories(folder.resolve("real"));
    Path link = Files.createSymbolicLink(folder.resolve("link"), real);
    assertThat(convert(sample(), link).exit()).isZero();
    assertThat(Converting.digests(real)).isEqualTo(wholeOutput());
    Path dead = Files.createSymbolicLink(folder.resolve("dead"), folder.resolve("nowhere"));
    isRefused(convert(sample(), dead), 5, "a link that leads nowhere");
  }

  @Test
  void aWriteThatFailsEndsWith6AndGoesOnLater() throws IOException {
    Program limited = Program.smelt().under("sh", "-c", "ulimit -f 1600; exec \"$@\"", "sh");
    Program.Result result = limited.go(words(sample(), out, "--threads", "1"));
    isRefused(result, 6, "safetensors", "File too large", "goes on where this one ended");
    assertThat(Converting.names(out)).noneMatch(n -> n.endsWith(".part"));
    assertThat(convert(sample(), out).exit()).isZero();
    assertThat(Converting.digests(out)).isEqualTo(wholeOutput());
  }

  @Test
  void aFolderThatCannotBeWrittenEndsWith6() throws Exception {
    Path locked = folder.resolve("locked");
    if (System.getProperty("user.name").equals("root")) {
      try (SmallDisk disk = SmallDisk.mount(locked, "ro")) {
        isRefused(convert(sample(), disk.path().resolve("out")), 6, "read-only file system");
      }
    } else {
      Files.createDirectory(
          locked,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("r-xr-xr-x")));
      isRefused(convert(sample(), locked.resolve("out")), 6, "access denied");
    }
  }

  @Test
  void aModelThatIsNotThereEndsWith3AndItsName() {
    isRefused(convert(folder.resolve("absent"), out), 3, "absent", "nothing there");
    assertThat(out).doesNotExist();
  }
}
