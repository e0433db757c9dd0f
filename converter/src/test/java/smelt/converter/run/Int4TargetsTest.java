package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.converter.Program;
import smelt.formats.Checkout;
import smelt.formats.checkpoint.Architecture;
import smelt.formats.checkpoint.SyntheticCheckpoint;
import smelt.formats.safetensors.SafetensorsHeader;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// The targets of packed INT4, written and taken as sources again.
class Int4TargetsTest {

  private static final Path SAMPLE = Checkout.root().resolve("samples/tiny-deepseek-v3-fp8");
  private static final String SHARD = "model-00001-of-00001.safetensors";
  private static final String EXPERT = "model.layers.1.mlp.experts.3.up_proj.weight_packed";

  @TempDir Path folder;

  private Program.Result convert(Path model, String recipe, String out) {
    return Program.run(
        "convert", model.toString(), "--recipe", recipe, "-o", folder.resolve(out).toString());
  }

  private Path packed(String target) {
    assertThat(convert(SAMPLE, target, "packed").exit()).isZero();
    return folder.resolve("packed");
  }

  @ParameterizedTest
  @ValueSource(strings = {"rawint4", "ct-w4a16"})
  void itsOwnOutputIsCopiedBitForBit(String target) throws Exception {
    Path packed = packed(target);
    assertThat(convert(packed, target, "again").exit()).isZero();
    for (String file : new String[] {SHARD, "config.json"}) {
      assertThat(folder.resolve("again").resolve(file))
          .hasSameBinaryContentAs(packed.resolve(file));
    }
    assertThat(Files.readString(folder.resolve("again/manifest.json")))
        .containsPattern("\"how\" *: *\"copied\" *, *\"name\" *: *\"" + EXPERT + "\"");
  }

  @Test
  void packedModelsGoToOtherTargets() {
    Path packed = packed("rawint4");
    for (String target : new String[] {"bf16", "int8-channel", "ct-w4a16", "kt-amx-int4", "gguf"}) {
      Program.Result result = convert(packed, target, target);
      assertThat(result.exit()).as(target + result.err()).isZero();
    }
    assertThat(Program.run("check", folder.resolve("ct-w4a16").toString()).exit()).isZero();
  }

  @Test
  void theCodeThatKTransformersMultipliesWronglyIsNotCopied() throws Exception {
    Path packed = packed("rawint4");
    plantLeast(packed.resolve(SHARD), 37);
    Program.Result result = convert(packed, "rawint4", "again");
    assertThat(result.exit()).isEqualTo(3);
    assertThat(result.err()).contains(EXPERT, "INT4 code -8 at index 37", "codes from -7 to 7");
    assertThat(convert(packed, "bf16", "plain").exit()).isZero();
  }

  /// Sets a code to -8, which is stored as 0.
  private static void plantLeast(Path shard, long index) throws Exception {
    long at;
    try (ModelSource model = ModelSources.open(shard.getParent());
        ByteSource source = model.open(shard.getFileName().toString())) {
      SafetensorsHeader header = SafetensorsHeader.read(source);
      at =
          header.tensors().stream()
                  .filter(entry -> entry.name().equals(EXPERT))
                  .mapToLong(header::offset)
                  .findFirst()
                  .orElseThrow()
              + index / 2;
    }
    try (RandomAccessFile file = new RandomAccessFile(shard.toFile(), "rw")) {
      file.seek(at);
      int pair = file.read();
      file.seek(at);
      file.write(index % 2 == 0 ? pair & 0xF0 : pair & 0x0F);
    }
  }

  @Test
  void rowsThatAreNoWholeGroupsAreRefusedOnceForEachLength() throws Exception {
    Path model = SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3).write(folder.resolve("model"));
    Program.Result result = convert(model, "rawint4", "out");
    assertThat(result.exit()).isEqualTo(2);
    assertThat(result.err())
        .contains(
            "model.layers.1.mlp.experts.0.down_proj.weight and 23 more with rows of 96 numbers")
        .contains("rows of a multiple of 64 numbers")
        .containsOnlyOnce("error:");
    assertThat(folder.resolve("out")).doesNotExist();
  }
}
