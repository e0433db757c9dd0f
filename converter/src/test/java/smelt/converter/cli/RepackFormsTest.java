package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static smelt.converter.cli.Repacker.SAMPLE;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.formats.safetensors.SafetensorsHeader;
import smelt.formats.safetensors.TensorEntry;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// The same slices merged and as a tree, and INT4 in groups of 32 for `RAWINT4`.
class RepackFormsTest {

  @TempDir Path folder;
  private Repacker run;

  @BeforeEach
  void start() {
    run = new Repacker(folder);
  }

  @Test
  void aTreeIsAsIfConvertedAndMergesToTheByte() throws Exception {
    run.convert("{target: kt-amx-int8, numa: 2}", "merged");
    run.convert("{target: kt-amx-int8, numa: 2, form: tree}", "tree");
    run.repack("merged", "made", "--model", SAMPLE, "--form", "tree");
    assertThat(run.weights("made")).isEqualTo(run.weights("tree"));
    run.repack("tree", "back", "--model", SAMPLE, "--form", "merged");
    assertThat(run.weights("back")).isEqualTo(run.weights("merged"));
    assertThat(run.diff("tree", "merged", "--model", SAMPLE)).isZero();
    run.repack("tree", "one", "--model", SAMPLE, "--numa", "1", "--form", "tree");
    run.repack("one", "two", "--model", SAMPLE, "--numa", "2", "--form", "tree");
    assertThat(run.weights("two")).isEqualTo(run.weights("tree"));
  }

  @Test
  void groupsWithoutTheLeastCodeAreCopied() throws Exception {
    run.convert("rawint4", "groups");
    run.repack("groups", "copy", "--to", "rawint4");
    assertThat(run.weights("copy")).isEqualTo(run.weights("groups"));
    String tensor = "model.layers.1.mlp.experts.0.up_proj.weight_packed";
    plantLeastCode("groups", tensor);
    Program.Result refused =
        Program.run("repack", run.path("groups"), "-o", run.path("out"), "--to", "rawint4");
    assertThat(refused.exit()).isEqualTo(ExitCode.BAD_SOURCE.code());
    assertThat(refused.err()).contains(tensor).contains("INT4 code -8").contains("from -7 to 7");
  }

  @Test
  void groupsOfAnotherSizeAreRefused() throws Exception {
    run.convert("ct-w4a16", "groups");
    Program.Result refused = Program.run("repack", run.path("groups"), "--plan", "--to", "rawint4");
    assertThat(refused.exit()).isEqualTo(ExitCode.USAGE.code());
    assertThat(refused.err())
        .contains("Int4[group=128")
        .contains("which would be quantized again for rawint4");
  }

  /// Makes the first code of a tensor -8, which is stored as 0.
  private void plantLeastCode(String model, String name) throws IOException {
    try (ModelSource source = ModelSources.open(folder.resolve(model))) {
      for (String file : source.names()) {
        if (file.endsWith(".safetensors")) {
          long at = -1;
          try (ByteSource shard = source.open(file)) {
            SafetensorsHeader header = SafetensorsHeader.read(shard);
            for (TensorEntry entry : header.tensors()) {
              at = entry.name().equals(name) ? header.offset(entry) : at;
            }
          }
          if (at >= 0) {
            try (RandomAccessFile shard =
                new RandomAccessFile(folder.resolve(model).resolve(file).toFile(), "rw")) {
              shard.seek(at);
              int pair = shard.read();
              shard.seek(at);
              shard.write(pair & 0xF0);
            }
            return;
          }
        }
      }
    }
    throw new AssertionError("no tensor " + name);
  }
}
