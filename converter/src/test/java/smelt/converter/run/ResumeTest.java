package smelt.converter.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.OutputConflictException;
import smelt.converter.RefusedException;
import smelt.converter.SampleModel;
import smelt.converter.SmallDisk;
import smelt.converter.plan.Plan;
import smelt.converter.target.Target;
import smelt.formats.BadInputException;
import smelt.formats.source.CountingModelSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// What a run makes of what an earlier one left, and of a world that changes meanwhile.
class ResumeTest {

  private static final Path FP8 = SampleModel.path(SampleModel.FP8);
  private static final String SHARD = "model-00002-of-00003.safetensors";

  @TempDir Path folder;
  private Path out;
  private final Converting conversion = Converting.to(Target.INT8_CHANNEL, Target.BF16);

  @BeforeEach
  void nameTheOutput() {
    out = folder.resolve("out");
  }

  private Map<String, String> expected() throws Exception {
    Path whole = folder.resolve("whole");
    conversion.run(FP8, whole);
    return Converting.digests(whole);
  }

  /// Leaves a run that ended in the middle, with receipts of some units.
  private List<Path> breakInTheMiddle(Path model) throws IOException {
    try (ModelSource broken = new CountingModelSource(ModelSources.open(model), 8_000_000)) {
      assertThatThrownBy(() -> conversion.run(broken, out)).isInstanceOf(IOException.class);
    }
    try (Stream<Path> files = Files.list(out.resolve(".smelt/receipts"))) {
      List<Path> receipts = files.sorted().toList();
      assertThat(receipts).isNotEmpty();
      return receipts;
    }
  }

  @Test
  void aReadThatFailsAtAnyMomentLeavesNoUnfinishedFileAndTheNextRunEndsTheSame() throws Exception {
    Map<String, String> expected = expected();
    long total = conversion.plan(FP8).sourceBytes();
    int failures = 0;
    for (long failAt = 100_000; failAt < total; failAt += total / 12) {
      Path there = folder.resolve("out-" + failAt);
      try (ModelSource broken = new CountingModelSource(ModelSources.open(FP8), failAt)) {
        assertThatThrownBy(() -> conversion.run(broken, there)).isInstanceOf(IOException.class);
      }
      failures++;
      if (Files.exists(there)) {
        assertThat(Converting.names(there)).noneMatch(n -> n.endsWith(".part"));
      }
      conversion.run(FP8, there);
      assertThat(Converting.digests(there)).isEqualTo(expected);
    }
    assertThat(failures).isGreaterThan(10);
  }

  @Test
  void aFlippedBitInAReceiptIsAlwaysSeen() throws Exception {
    Path receipt = breakInTheMiddle(FP8).getFirst();
    String plan = Files.readString(out.resolve(".smelt/plan.sha256")).strip();
    byte[] good = Files.readAllBytes(receipt);
    assertThat(Receipt.read(receipt.getParent(), plan, 1)).isPresent();
    Random random = new Random(1);
    for (int i = 0; i < 2_000; i++) {
      byte[] bad = good.clone();
      bad[random.nextInt(bad.length)] ^= (byte) (1 << random.nextInt(8));
      Files.write(receipt, bad);
      assertThat(Receipt.read(receipt.getParent(), plan, 1)).isEmpty();
    }
    for (int length = 0; length < good.length; length += 1 + length / 4) {
      Files.write(receipt, Arrays.copyOf(good, length));
      assertThat(Receipt.read(receipt.getParent(), plan, 1)).isEmpty();
    }
  }

  @Test
  void aUnitWithADamagedReceiptIsDoneAgain() throws Exception {
    List<Path> receipts = breakInTheMiddle(FP8);
    Files.writeString(receipts.getFirst(), "{}");
    Conversion.Result result = conversion.run(FP8, out);
    assertThat(result.unitsKept()).isEqualTo(receipts.size() - 1);
    assertThat(Converting.digests(out)).isEqualTo(expected());
  }

  @Test
  void aUnitWhoseShardIsGoneIsDoneAgain() throws Exception {
    List<Path> receipts = breakInTheMiddle(FP8);
    Plan plan = conversion.plan(FP8);
    int unit = receipts.getFirst().toString().endsWith("unit-00001.json") ? 0 : 1;
    Files.delete(out.resolve("bf16").resolve(plan.targets().get(1).shards().get(unit).name()));
    Conversion.Result result = conversion.run(FP8, out);
    assertThat(result.unitsKept()).isEqualTo(receipts.size() - 1);
    assertThat(Converting.digests(out)).isEqualTo(expected());
  }

  @Test
  void aFileThatWasDeletedFromAFinishedOutputIsRestored() throws Exception {
    Map<String, String> expected = expected();
    conversion.run(FP8, out);
    for (String lost :
        List.of("bf16/config.json", "int8-channel/manifest.json", firstShard(expected))) {
      Files.delete(out.resolve(lost));
      conversion.run(FP8, out);
      assertThat(Converting.digests(out)).as(lost).isEqualTo(expected);
    }
  }

  private static String firstShard(Map<String, String> digests) {
    return digests.keySet().stream()
        .filter(n -> n.contains("model-00001"))
        .findFirst()
        .orElseThrow();
  }

  @Test
  void unfinishedFilesOfAKilledRunAreRemovedAndOthersFilesAreNot() throws Exception {
    breakInTheMiddle(FP8);
    String shard = conversion.plan(FP8).targets().get(0).shards().get(2).name();
    Files.writeString(out.resolve("int8-channel/." + shard + ".part"), "half");
    Files.writeString(out.resolve("int8-channel/.config.json.part"), "half");
    Path theirs = out.resolve("int8-channel/download.part");
    Files.writeString(theirs, "theirs");
    assertThatThrownBy(() -> conversion.run(FP8, out))
        .isInstanceOf(OutputConflictException.class)
        .hasMessageContaining("download.part")
        .hasMessageContaining("move them away");
    assertThat(theirs).hasContent("theirs");
    Files.delete(theirs);
    conversion.run(FP8, out);
    assertThat(Converting.digests(out)).isEqualTo(expected());
  }

  @Test
  void aShardThatCannotGetItsNameLeavesNothingAndTheNextRunGoesOn() throws Exception {
    String shard = conversion.plan(FP8).targets().get(1).shards().get(1).name();
    Path inTheWay = Files.createDirectories(out.resolve("bf16").resolve(shard).resolve("inside"));
    Files.createDirectories(out.resolve(".smelt"));
    assertThatThrownBy(() -> conversion.run(FP8, out))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(shard);
    assertThat(Converting.names(out)).noneMatch(n -> n.endsWith(".part"));
    Files.delete(inTheWay);
    Files.delete(inTheWay.getParent());
    conversion.run(FP8, out);
    assertThat(Converting.digests(out)).isEqualTo(expected());
  }

  @Test
  void unitsOfASourceThatHasOtherNumbersNowAreDoneAgain() throws Exception {
    Path model = SampleModel.copy(SampleModel.FP8, folder.resolve("model"));
    breakInTheMiddle(model);
    for (String name : Converting.names(model)) {
      Path file = model.resolve(name);
      if (name.endsWith(".safetensors")) {
        flip(file, Files.size(file) - 1);
        Files.setLastModifiedTime(file, FileTime.fromMillis(1_000_000_000_000L));
      }
    }
    Path fresh = folder.resolve("fresh");
    conversion.run(model, fresh);
    assertThat(conversion.run(model, out).unitsKept()).isZero();
    assertThat(Converting.digests(out))
        .isEqualTo(Converting.digests(fresh))
        .isNotEqualTo(expected());
  }

  private static void flip(Path file, long at) throws IOException {
    try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
      open.seek(at);
      int old = open.read();
      open.seek(at);
      open.write(old ^ 1);
    }
  }

  @Test
  void aShardThatChangesDuringTheRunIsRefusedByName() throws Exception {
    Path model = SampleModel.copy(SampleModel.FP8, folder.resolve("model"));
    List<ThrowingChange> changes =
        List.of(
            file -> Files.setLastModifiedTime(file, FileTime.fromMillis(1_000_000_000_000L)),
            file -> Files.write(file, new byte[1], StandardOpenOption.APPEND),
            file -> {
              try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
                open.setLength(open.length() - 1);
              }
            },
            file -> Files.move(Files.copy(file, file.resolveSibling("copy")), moved(file)));
    List<String> messages = new ArrayList<>();
    for (ThrowingChange change : changes) {
      Path there = folder.resolve("out-" + messages.size());
      try (ModelSource source = ModelSources.open(model)) {
        ModelSource changing =
            new ChangingSource(source, 6_000_000, () -> change.make(model.resolve(SHARD)));
        assertThatThrownBy(() -> conversion.run(changing, there))
            .isInstanceOf(BadInputException.class)
            .hasMessageContaining(SHARD)
            .hasMessageContaining("run again when nothing writes to it")
            .satisfies(e -> messages.add(e.getMessage()));
      }
      assertThat(Converting.names(there)).noneMatch(n -> n.endsWith(".part"));
      assertThat(Converting.names(there)).noneMatch(n -> n.endsWith("config.json"));
      Files.copy(FP8.resolve(SHARD), model.resolve(SHARD), StandardCopyOption.REPLACE_EXISTING);
    }
    assertThat(messages).hasSize(4);
  }

  private static Path moved(Path file) throws IOException {
    Files.delete(file);
    return file;
  }

  private interface ThrowingChange {
    void make(Path file) throws IOException;
  }

  @Test
  void twoFoldersOpenOnOneOutputAreRefused() throws Exception {
    try (ModelSource source = ModelSources.open(FP8);
        OutputFolder first = OutputFolder.open(out, conversion.plan(FP8), source)) {
      assertThat(first.isComplete()).isFalse();
      assertThatThrownBy(() -> OutputFolder.open(out, conversion.plan(FP8), source))
          .isInstanceOf(OutputConflictException.class)
          .hasMessageContaining("process " + ProcessHandle.current().pid());
    }
    conversion.run(FP8, out);
    assertThat(Converting.digests(out)).isEqualTo(expected());
  }

  /// Around the planned size, a run on a disk of its own either is refused or comes to its end.
  @Test
  void whatTheDiskCheckLetsThroughFits() throws Exception {
    Plan plan = conversion.plan(FP8);
    Map<String, String> expected = expected();
    List<String> ends = new ArrayList<>();
    for (long percent = 97; percent <= 104; percent++) {
      long size = plan.outputBytes() * percent / 100;
      try (SmallDisk disk = SmallDisk.mount(folder.resolve("disk"), "size=" + size)) {
        Path there = disk.path().resolve("out");
        try {
          DiskSpace.require(plan, there);
        } catch (RefusedException e) {
          ends.add(percent + " % refused");
          continue;
        }
        conversion.run(FP8, there);
        assertThat(Converting.digests(there)).isEqualTo(expected);
        DiskSpace.require(plan, there);
        ends.add(percent + " % done");
      }
    }
    assertThat(ends).contains("97 % refused", "99 % refused", "103 % done", "104 % done");
    System.out.println("disk of planned size: " + ends);
  }
}
