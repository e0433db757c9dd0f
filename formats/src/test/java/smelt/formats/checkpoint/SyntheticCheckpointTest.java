package smelt.formats.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import smelt.formats.checkpoint.SyntheticCheckpoint.Form;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

class SyntheticCheckpointTest {

  @TempDir Path folder;

  private static SyntheticCheckpoint model(Form form) {
    return SyntheticCheckpoint.of(Architecture.DEEPSEEK_V3).form(form);
  }

  @Test
  void sameSettingsGiveTheSameBytes() throws IOException {
    Path a = model(Form.FP8_BLOCK).seed(5).write(folder.resolve("a"));
    Path b = model(Form.FP8_BLOCK).seed(5).write(folder.resolve("b"));
    Path c = model(Form.FP8_BLOCK).seed(6).write(folder.resolve("c"));
    String shard = CheckpointDraft.shardName(0, 2);
    assertThat(Files.mismatch(a.resolve(shard), b.resolve(shard))).isEqualTo(-1);
    assertThat(Files.mismatch(a.resolve(shard), c.resolve(shard))).isNotEqualTo(-1);
  }

  @Test
  void someScalesLieInAnotherShard() throws IOException {
    model(Form.FP8_BLOCK).write(folder);
    assertThat(open().weights())
        .anyMatch(w -> w.scale().filter(s -> !s.file().equals(w.codes().file())).isPresent());
  }

  @ParameterizedTest
  @EnumSource
  void everyNumberIsFinite(Form form) throws IOException {
    model(form).write(folder);
    for (Weight weight : open().weights()) {
      assertThat(finite(weight.codes())).as(weight.name()).isTrue();
      if (weight.scale().isPresent()) {
        assertThat(positive(weight.scale().get())).as(weight.name()).isTrue();
      }
    }
  }

  private boolean finite(SourceTensor tensor) throws IOException {
    ByteBuffer data = data(tensor);
    boolean finite = true;
    while (data.hasRemaining()) {
      finite &=
          switch (tensor.type()) {
            case F8_E4M3 -> (data.get() & 0x7F) != 0x7F;
            case I8 -> data.get() != -128;
            case BF16 -> (data.getShort() & 0x7F80) != 0x7F80;
            case F32 -> Float.isFinite(data.getFloat());
            default -> throw new AssertionError(tensor.type());
          };
    }
    return finite;
  }

  private boolean positive(SourceTensor scale) throws IOException {
    ByteBuffer data = data(scale);
    boolean positive = true;
    while (data.hasRemaining()) {
      float value = data.getFloat();
      positive &= Float.isFinite(value) && value >= Float.MIN_NORMAL;
    }
    return positive;
  }

  private ByteBuffer data(SourceTensor tensor) throws IOException {
    byte[] shard = Files.readAllBytes(folder.resolve(tensor.file()));
    int at = Math.toIntExact(tensor.offset());
    return ByteBuffer.wrap(shard, at, Math.toIntExact(tensor.bytes()))
        .slice()
        .order(ByteOrder.LITTLE_ENDIAN);
  }

  private Checkpoint open() throws IOException {
    try (ModelSource source = ModelSources.open(folder)) {
      return Checkpoint.open(source);
    }
  }
}
