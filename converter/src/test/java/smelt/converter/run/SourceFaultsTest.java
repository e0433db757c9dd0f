package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.converter.target.Target;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.checkpoint.SyntheticCheckpoint.Form;
import smelt.formats.safetensors.SafetensorsHeader;
import smelt.formats.safetensors.TensorEntry;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Faults that only the numbers of a source show.
class SourceFaultsTest {

  private static final Path SAMPLE = Checkout.root().resolve("samples/tiny-deepseek-v3-fp8");

  @TempDir Path folder;

  private Path copyOf(Path model) throws IOException {
    Path copy = Files.createDirectories(folder.resolve("copy"));
    try (Stream<Path> files = Files.list(model)) {
      for (Path file : files.toList()) {
        Files.copy(file, copy.resolve(file.getFileName()));
      }
    }
    return copy;
  }

  /// Overwrites one byte of a tensor.
  private static void plant(Path model, String tensor, long at, int value) throws IOException {
    try (ModelSource source = ModelSources.open(model)) {
      for (String name : source.names()) {
        if (name.endsWith(".safetensors")) {
          try (ByteSource file = source.open(name)) {
            SafetensorsHeader header = SafetensorsHeader.read(file);
            for (TensorEntry entry : header.tensors()) {
              if (entry.name().equals(tensor)) {
                try (RandomAccessFile out =
                    new RandomAccessFile(model.resolve(name).toFile(), "rw")) {
                  out.seek(header.offset(entry) + at);
                  out.write(value);
                }
                return;
              }
            }
          }
        }
      }
    }
    throw new AssertionError("no tensor " + tensor);
  }

  private Program.Result convert(Path model, String recipe) {
    return Program.run(
        "convert", model.toString(), "--recipe", recipe, "-o", folder.resolve("out").toString());
  }

  @Test
  void anOutputOfAnotherModelWithTheSameHeadersIsNotTakenForThisOne() throws Exception {
    assertThat(convert(SAMPLE, "int8-channel").exit()).isZero();
    assertThat(convert(SAMPLE, "int8-channel").err()).contains("nothing to do");
    Path other = copyOf(SAMPLE);
    plant(other, "model.layers.2.input_layernorm.weight", 0, 0x11);
    Program.Result result = convert(other, "int8-channel");
    assertThat(result.exit()).isEqualTo(5);
    assertThat(result.err())
        .contains("another model with the same headers")
        .contains("model.layers.2.input_layernorm.weight differs");
  }

  @Test
  void anOffsetThatIsNotZeroIsRefused() throws Exception {
    Path ascend = folder.resolve("ascend");
    Converting.to(Target.ASCEND_W8A8).run(SAMPLE, ascend);
    assertThat(convert(ascend, "bf16").exit()).isZero();
    plant(ascend, "model.layers.1.mlp.experts.3.up_proj.weight_offset", 4, 1);
    Program.Result result =
        Program.run("convert", ascend.toString(), "--recipe", "bf16", "-o", folder + "/again");
    assertThat(result.exit()).isEqualTo(3);
    assertThat(result.err())
        .contains("model.layers.1.mlp.experts.3.up_proj.weight_offset")
        .contains("an offset that is not zero");
    assertThat(folder.resolve("again")).doesNotExist();
  }

  @Test
  void theCodeThatNoOutputHoldsIsNotCopied() throws Exception {
    Path model =
        SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3)
            .form(Form.INT8_CHANNEL)
            .write(folder.resolve("model"));
    plant(model, "model.layers.1.mlp.experts.3.up_proj.weight", 7, 0x80);
    Program.Result result = convert(model, "int8-channel");
    assertThat(result.exit()).isEqualTo(3);
    assertThat(result.err())
        .contains("model.layers.1.mlp.experts.3.up_proj.weight")
        .contains("INT8 code -128 at index 7");
  }

  @Test
  void codeInSubfoldersAndFilesWhoseNameIsTakenAreLeftOut() throws Exception {
    Path model = copyOf(SAMPLE);
    Files.createDirectories(model.resolve("inference"));
    Files.writeString(model.resolve("inference/model.py"), "pass\n");
    Files.writeString(model.resolve("modeling.py"), "pass\n");
    Files.writeString(model.resolve("SOURCE_README.md"), "of an earlier conversion\n");
    Path recipe =
        Files.writeString(
            folder.resolve("r.yaml"), "name: code\ntargets: [bf16]\ncopy_code: true\n");
    assertThat(convert(model, recipe.toString()).exit()).isZero();
    Path out = folder.resolve("out");
    assertThat(out.resolve("modeling.py")).exists();
    assertThat(out.resolve("inference")).doesNotExist();
    assertThat(Files.readString(out.resolve("manifest.json")))
        .contains("inference/model.py")
        .contains("another file is carried as SOURCE_README.md");
  }
}
