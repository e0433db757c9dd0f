package smelt.converter.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufLayout;
import smelt.formats.gguf.GgufModel;
import smelt.formats.gguf.GgufParts;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.gguf.GgufValue;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// GGUF files split and merged: bytes of tensors and metadata stay as they are.
class RepackGgufTest {

  private static final long LIMIT = 40_000;

  @TempDir Path folder;
  private Repacker run;

  @BeforeEach
  void start() {
    run = new Repacker(folder);
  }

  @Test
  void theSampleIsSplitAndMergedToTheByte() throws Exception {
    run.convert("gguf", "parts");
    run.repack("parts", "whole", "--merge");
    assertThat(run.weights("whole")).containsOnlyKeys("model.gguf");
    assertThat(run.diff("parts", "whole")).isZero();
    run.repack("whole/model.gguf", "split", "--shard-size", "2M", "--threads", "1");
    assertThat(run.weights("split")).hasSizeGreaterThan(3);
    run.repack(
        "split/model-00001-of-0000" + run.weights("split").size() + ".gguf", "again", "--merge");
    assertThat(run.weights("again")).isEqualTo(run.weights("whole"));
  }

  /// Values of every kind under keys that nothing knows, another alignment, odd sizes.
  private static GgufLayout strange() {
    SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
    metadata.put("somebody.else", new GgufValue.F32(Float.intBitsToFloat(0x7FC12345)));
    metadata.put("general.alignment", new GgufValue.U32(128));
    metadata.put("x.u8", new GgufValue.U8(255));
    metadata.put("x.i16", new GgufValue.I16((short) -2));
    metadata.put("x.u64", new GgufValue.U64(-1));
    metadata.put("x.f64", new GgufValue.F64(-0.0));
    metadata.put("x.bool", new GgufValue.Bool(true));
    metadata.put("x.none", new GgufValue.Array(GgufValue.Kind.U16, List.of()));
    metadata.put("x.texts", GgufValue.texts(List.of("", "\u00e9", "\ud83d\ude00")));
    return GgufLayout.of(
        metadata,
        List.of(
            new GgufLayout.Tensor("a", GgmlType.IQ3_S, List.of(256L, 33L)),
            new GgufLayout.Tensor("b", GgmlType.I8, List.of(1L)),
            new GgufLayout.Tensor("c.big", GgmlType.F64, List.of(7L, 5L, 3L, 101L)),
            new GgufLayout.Tensor("d", GgmlType.TQ1_0, List.of(512L, 70L)),
            new GgufLayout.Tensor("e", GgmlType.F32, List.of(3L))));
  }

  private static void write(GgufLayout layout, Path file) throws IOException {
    Files.write(file, layout.header());
    try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
      out.setLength(layout.fileSize());
      for (GgufTensor tensor : layout.tensors()) {
        byte[] data = new byte[Math.toIntExact(tensor.bytes())];
        for (int i = 0; i < data.length; i++) {
          data[i] = (byte) (31 * i + tensor.name().hashCode());
        }
        out.seek(layout.offset(tensor));
        out.write(data);
      }
    }
  }

  @Test
  void whatNothingKnowsComesThroughToTheBit() throws Exception {
    write(strange(), folder.resolve("odd.name-1.gguf"));
    String limit = Long.toString(LIMIT);
    run.repack("odd.name-1.gguf", "split", "--shard-size", limit);
    try (ModelSource source = ModelSources.open(folder.resolve("split"))) {
      GgufModel model = GgufModel.open(source);
      assertThat(model.parts()).hasSize(3);
      assertThat(model.metadata()).isEqualTo(strangeMetadata());
      assertThat(model.parts().get(0).header().alignment()).isEqualTo(128);
      assertThat(model.parts().get(1).header().alignment()).isEqualTo(32);
      for (GgufParts.Part part : model.parts()) {
        boolean single = part.header().tensors().size() == 1;
        assertThat(single || part.header().fileSize() <= LIMIT).isTrue();
      }
    }
    run.repack("split", "merged", "--merge");
    assertThat(
            Files.mismatch(
                folder.resolve("odd.name-1.gguf"), folder.resolve("merged/odd.name-1.gguf")))
        .isEqualTo(-1);
  }

  private SequencedMap<String, GgufValue> strangeMetadata() throws IOException {
    try (ModelSource source = ModelSources.files(folder, folder, List.of("odd.name-1.gguf"))) {
      return GgufModel.open(source).metadata();
    }
  }

  @Test
  void aModelThatLlamaCppHasMergedIsNoPart() throws Exception {
    SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
    metadata.put("split.no", new GgufValue.U16(0));
    metadata.put("split.count", new GgufValue.U16(0));
    metadata.put("split.tensors.count", new GgufValue.I32(1));
    write(
        GgufLayout.of(metadata, List.of(new GgufLayout.Tensor("t", GgmlType.F32, List.of(9L)))),
        folder.resolve("merged.gguf"));
    run.repack("merged.gguf", "out", "--merge");
    try (ModelSource source = ModelSources.open(folder.resolve("out"))) {
      assertThat(GgufModel.open(source).parts().getFirst().header().metadata()).isEmpty();
    }
  }

  @Test
  void aPartThatIsMissingOrOfAnotherModelIsNamed() throws Exception {
    write(strange(), folder.resolve("m.gguf"));
    run.repack("m.gguf", "split", "--shard-size", Long.toString(LIMIT));
    Files.delete(folder.resolve("split/m-00002-of-00003.gguf"));
    Program.Result missing = Program.run("repack", run.path("split"), "--merge", "--plan");
    assertThat(missing.exit()).isEqualTo(ExitCode.BAD_SOURCE.code());
    assertThat(missing.err()).contains("2 of 3 parts").contains("all parts of the model");
    Files.copy(
        folder.resolve("split/m-00003-of-00003.gguf"),
        folder.resolve("split/m-00002-of-00003.gguf"));
    Program.Result doubled = Program.run("repack", run.path("split"), "--merge", "--plan");
    assertThat(doubled.exit()).isEqualTo(ExitCode.BAD_SOURCE.code());
    assertThat(doubled.err()).contains("part 3 of 3").contains("the tensor again");
  }

  @Test
  void optionsThatHaveNoUseAreRefused() throws Exception {
    write(strange(), folder.resolve("m.gguf"));
    Program.Result both =
        Program.run("repack", run.path("m.gguf"), "--plan", "--merge", "--shard-size", "1G");
    assertThat(both.exit()).isEqualTo(ExitCode.USAGE.code());
    assertThat(both.err()).contains("either --merge or --shard-size SIZE");
    Program.Result nodes = Program.run("repack", run.path("m.gguf"), "--plan", "--numa", "2");
    assertThat(nodes.exit()).isEqualTo(ExitCode.USAGE.code());
    assertThat(nodes.err()).contains("GGUF is split or merged");
  }
}
