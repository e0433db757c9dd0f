package smelt.formats.source;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Random;
import java.util.zip.GZIPOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;
import org.apache.commons.compress.archivers.zip.ZipArchiveEntry;
import org.apache.commons.compress.archivers.zip.ZipArchiveOutputStream;
import org.apache.commons.compress.archivers.zip.ZipEncodingHelper;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;

class ArchiveSourceTest {

  private static final String BLOB = "0123456789abcdef0123456789abcdef01234567";

  @TempDir Path folder;

  private interface Content<T> {
    void to(T out) throws IOException;
  }

  @Test
  void readsATarInPlace() throws IOException {
    Path tar =
        tar(out -> {
          folderIn(out, "model/");
          put(out, "model/config.json", "{}");
          put(out, "model/" + "long".repeat(60) + ".safetensors", "weights");
          put(out, "model/sub/é.txt", "é");
          put(out, "model/.cache/huggingface/x.lock", "");
        });
    try (CountingModelSource model = new CountingModelSource(ModelSources.open(tar))) {
      assertThat(model.names())
          .containsExactly("config.json", "long".repeat(60) + ".safetensors", "sub/é.txt");
      assertThat(text(model, "long".repeat(60) + ".safetensors")).isEqualTo("weights");
      assertThat(text(model, "sub/é.txt")).isEqualTo("é");
      assertThat(model.bytesRead()).isEqualTo(9);
    }
  }

  @Test
  void readsAStoredZipInPlaceAndInflatesSmallSideFiles() throws IOException {
    String json = "[" + "1,".repeat(100_000) + "1]";
    Path zip =
        zip(out -> {
          put(out, "model.safetensors", "weights", ZipArchiveEntry.STORED);
          put(out, "tokenizer.json", json, ZipArchiveEntry.DEFLATED);
          put(out, "sub/é", "é", ZipArchiveEntry.STORED);
        });
    try (ModelSource model = ModelSources.open(zip)) {
      assertThat(model.names()).containsExactly("model.safetensors", "sub/é", "tokenizer.json");
      assertThat(text(model, "model.safetensors")).isEqualTo("weights");
      assertThat(text(model, "sub/é")).isEqualTo("é");
      assertThat(text(model, "tokenizer.json")).isEqualTo(json);
    }
    assertThat(Files.size(zip)).isLessThan(json.length());
  }

  @Test
  void readsAnEntryBeyondFourGibibytes() throws IOException {
    Path tar = folder.resolve("large.tar");
    TarArchiveEntry entry = new TarArchiveEntry("model-1.safetensors");
    long size = (9L << 30) + 5;
    entry.setSize(size);
    byte[] header = new byte[512];
    entry.writeEntryHeader(header, ZipEncodingHelper.getZipEncoding("UTF-8"), true);
    try (FileChannel out =
        FileChannel.open(tar, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      out.write(ByteBuffer.wrap(header));
      out.write(ByteBuffer.wrap("<end>".getBytes(UTF_8)), 512 + size - 5);
      out.write(ByteBuffer.allocate(1024 + 507), 512 + size);
    }
    try (ModelSource model = ModelSources.open(tar);
        ByteSource file = model.open("model-1.safetensors")) {
      assertThat(file.size()).isEqualTo(size);
      MemorySegment end = MemorySegment.ofArray(new byte[5]);
      file.read(size - 5, end);
      assertThat(end.toArray(ValueLayout.JAVA_BYTE)).isEqualTo("<end>".getBytes(UTF_8));
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "../evil",
        "a/../../evil",
        "a/..",
        "a//b",
        "a/./b",
        "C:evil",
        "c:\\evil",
        "a\\b",
        "a\nb",
        "\u001b[31mred"
      })
  void refusesANameThatLeadsOut(String name) throws IOException {
    Path tar =
        tar(out -> {
          put(out, "config.json", "{}");
          put(out, name, "evil");
        });
    String shown = "entry '" + name.replaceAll("\\p{Cntrl}", "?") + "'";
    assertRefused(tar, shown);
    if (name.indexOf('\\') < 0) {
      Path zip = zip(out -> put(out, name, "evil", ZipArchiveEntry.STORED));
      assertRefused(zip, shown);
    }
  }

  @Test
  void refusesAnAbsoluteName() throws IOException {
    Path tar =
        tar(out -> {
          TarArchiveEntry entry = new TarArchiveEntry("/etc/evil", true);
          entry.setSize(0);
          out.putArchiveEntry(entry);
          out.closeArchiveEntry();
        });
    assertRefused(tar, "'/etc/evil'");
    Path zip = zip(out -> put(out, "/etc/evil", "", ZipArchiveEntry.STORED));
    assertRefused(zip, "'/etc/evil'");
  }

  @ParameterizedTest
  @ValueSource(
      bytes = {
        TarConstants.LF_LINK,
        TarConstants.LF_SYMLINK,
        TarConstants.LF_CHR,
        TarConstants.LF_BLK,
        TarConstants.LF_FIFO,
        (byte) 'Z'
      })
  void refusesWhatIsNoFile(byte kind) throws IOException {
    Path tar =
        tar(out -> {
          put(out, "config.json", "{}");
          TarArchiveEntry entry = new TarArchiveEntry("odd", kind);
          entry.setLinkName("config.json");
          entry.setSize(0);
          out.putArchiveEntry(entry);
          out.closeArchiveEntry();
        });
    assertRefused(tar, "entry 'odd'");
  }

  @Test
  void refusesNamesThatClash() throws IOException {
    Path tar =
        tar(out -> {
          put(out, "config.json", "{}");
          put(out, "config.json", "{\"a\":1}");
          put(out, "Config.json", "{}");
          put(out, "caf\u00e9", "");
          put(out, "cafe\u0301", "");
        });
    assertThatThrownBy(() -> ModelSources.open(tar))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("a second entry of this name")
        .hasMessageContaining("'Config.json'")
        .satisfies(e -> assertThat(((BadInputException) e).problems()).hasSize(3));
  }

  @Test
  void refusesMoreFilesThanAnyModelHas() throws IOException {
    Path tar =
        tar(out -> {
          for (int i = 0; i <= Listing.MAX_MEMBERS; i++) {
            put(out, "f" + i, "");
          }
        });
    assertRefused(tar, "more than 20000 files");
  }

  @Test
  void refusesAnArchiveOfNothingButHeaders() throws IOException {
    Path tar = folder.resolve("names.tar");
    TarArchiveEntry entry = new TarArchiveEntry("././@LongLink", TarConstants.LF_GNUTYPE_LONGNAME);
    entry.setSize(4L << 30);
    byte[] header = new byte[512];
    entry.writeEntryHeader(header);
    try (FileChannel out =
        FileChannel.open(tar, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      out.write(ByteBuffer.wrap(header));
      out.write(ByteBuffer.allocate(1), 5L << 30);
    }
    assertRefused(tar, "bytes of archive headers");
  }

  @Test
  void refusesATarThatWasCutShort() throws IOException {
    Path tar =
        tar(out -> {
          put(out, "config.json", "{}");
          put(out, "model.safetensors", "w".repeat(100_000));
        });
    try (FileChannel channel = FileChannel.open(tar, StandardOpenOption.WRITE)) {
      channel.truncate(50_000);
    }
    assertRefused(tar, tar.toString());
  }

  @Test
  void refusesDeflatedWeightsWithTheRemedy() throws IOException {
    Path zip =
        zip(out -> {
          put(out, "config.json", "{}", ZipArchiveEntry.DEFLATED);
          put(out, "a.safetensors", "w", ZipArchiveEntry.DEFLATED);
          put(out, "b.safetensors", "w", ZipArchiveEntry.DEFLATED);
        });
    assertThatThrownBy(() -> ModelSources.open(zip))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("'a.safetensors'")
        .hasMessageContaining("'b.safetensors'")
        .hasMessageContaining("zip -0");
  }

  @Test
  void refusesAZipWhoseLocalHeaderNamesAnotherFile() throws IOException {
    Path zip = zip(out -> put(out, "model.safetensors", "weights", ZipArchiveEntry.STORED));
    patch(zip, 30, (byte) 'M');
    assertRefused(zip, "entry 'model.safetensors': found a local header that says otherwise");
  }

  @Test
  void refusesAZipWhoseDeflatedDataIsDamaged() throws IOException {
    Path zip = zip(out -> put(out, "a.json", "{".repeat(100), ZipArchiveEntry.DEFLATED));
    byte[] bytes = Files.readAllBytes(zip);
    int data = 30 + bytes[26] + bytes[28];
    for (int at = data; at < data + 3; at++) {
      Path damaged = Files.copy(zip, folder.resolve("damaged" + at));
      patch(damaged, at, (byte) (bytes[at] ^ 0x15));
      try (ModelSource model = ModelSources.open(damaged)) {
        assertThatThrownBy(() -> model.open("a.json")).isInstanceOf(BadInputException.class);
      }
    }
  }

  @Test
  void refusesCompressedArchivesInWords() throws IOException {
    Path tar = tar(out -> put(out, "config.json", "{}"));
    Path gz = folder.resolve("model.tar.gz");
    try (GZIPOutputStream out = new GZIPOutputStream(Files.newOutputStream(gz))) {
      Files.copy(tar, out);
    }
    assertThatThrownBy(() -> ModelSources.open(gz))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("gzip")
        .hasMessageContaining("tar -cf");
    Path zst =
        Files.write(folder.resolve("a.zst"), new byte[] {0x28, (byte) 0xb5, 0x2f, (byte) 0xfd});
    assertThatThrownBy(() -> ModelSources.open(zst)).hasMessageContaining("zstd");
  }

  @Test
  void noticesThatTheArchiveWasReplaced() throws IOException {
    Path tar = tar(out -> put(out, "a", "first"));
    Path other = tar(out -> put(out, "a", "other"));
    try (ModelSource model = ModelSources.open(tar)) {
      Files.move(other, tar, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
      assertThatThrownBy(() -> model.open("a"))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("changed while reading");
    }
  }

  @Test
  void followsTheLinksOfAPackedCache() throws IOException {
    Path tar =
        tar(out -> {
          put(out, "models--o--n/blobs/" + BLOB, "blob");
          put(out, "models--o--n/refs/main", "abc");
          link(out, "models--o--n/snapshots/abc/config.json", "../../blobs/" + BLOB);
          link(out, "models--o--n/snapshots/abc/sub/b", "../../../blobs/" + BLOB);
        });
    try (ModelSource model = ModelSources.open(tar)) {
      assertThat(model.names()).containsExactly("config.json", "sub/b");
      assertThat(text(model, "sub/b")).isEqualTo("blob");
    }
  }

  @Test
  void refusesLinksOfAPackedCacheThatLeadElsewhere() throws IOException {
    Path tar =
        tar(out -> {
          put(out, "blobs/" + BLOB, "blob");
          link(out, "snapshots/abc/good", "../../blobs/" + BLOB);
          link(out, "snapshots/abc/absent", "../../blobs/" + "e".repeat(40));
          link(out, "snapshots/abc/passwd", "/etc/passwd");
          link(out, "snapshots/abc/shallow", "../blobs/" + BLOB);
        });
    assertThatThrownBy(() -> ModelSources.open(tar))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("absent")
        .hasMessageContaining("passwd")
        .hasMessageContaining("shallow")
        .satisfies(e -> assertThat(((BadInputException) e).problems()).hasSize(3));
  }

  @Test
  void damagedArchivesAreRefusedOrReadButNeverBreakTheReader() throws IOException {
    Path tar =
        tar(out -> {
          put(out, "model/config.json", "{}");
          put(out, "model/" + "n".repeat(120), "long name");
          link(out, "model/link", "config.json");
        });
    Path zip =
        zip(out -> {
          put(out, "model/config.json", "{}", ZipArchiveEntry.DEFLATED);
          put(out, "model/model.safetensors", "weights", ZipArchiveEntry.STORED);
        });
    for (Path whole : new Path[] {tar, zip}) {
      byte[] bytes = Files.readAllBytes(whole);
      Path damaged = folder.resolve("damaged");
      for (int seed = 0; seed < 1500; seed++) {
        Random random = new Random(seed);
        byte[] mutated = bytes.clone();
        for (int i = random.nextInt(4); i >= 0; i--) {
          mutated[random.nextInt(mutated.length)] = (byte) random.nextInt(256);
        }
        Files.write(damaged, mutated);
        readAll(damaged, seed);
      }
    }
  }

  private static void readAll(Path archive, int seed) {
    try (ModelSource model = ModelSources.open(archive)) {
      for (String name : model.names()) {
        model.readSmall(name, 1 << 20);
      }
    } catch (BadInputException | UnsupportedException expected) {
      assertThat(expected).hasMessageContaining("found");
    } catch (IOException | RuntimeException e) {
      throw new AssertionError("seed " + seed, e);
    }
  }

  private static void assertRefused(Path archive, String message) {
    assertThatThrownBy(() -> ModelSources.open(archive))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(message);
  }

  private static String text(ModelSource model, String name) throws IOException {
    try (Arena arena = Arena.ofConfined();
        ByteSource file = model.open(name)) {
      MemorySegment bytes = arena.allocate(file.size());
      file.read(0, bytes);
      file.checkUnchanged();
      return new String(bytes.toArray(ValueLayout.JAVA_BYTE), UTF_8);
    }
  }

  private static void patch(Path file, long at, byte value) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.write(ByteBuffer.wrap(new byte[] {value}), at);
    }
  }

  private Path tar(Content<TarArchiveOutputStream> content) throws IOException {
    Path tar = Files.createTempFile(folder, "model", ".tar");
    try (TarArchiveOutputStream out =
        new TarArchiveOutputStream(Files.newOutputStream(tar), "UTF-8")) {
      out.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
      out.setAddPaxHeadersForNonAsciiNames(true);
      content.to(out);
    }
    return tar;
  }

  private Path zip(Content<ZipArchiveOutputStream> content) throws IOException {
    Path zip = Files.createTempFile(folder, "model", ".zip");
    try (ZipArchiveOutputStream out = new ZipArchiveOutputStream(zip)) {
      content.to(out);
    }
    return zip;
  }

  private static void put(TarArchiveOutputStream out, String name, String content)
      throws IOException {
    byte[] bytes = content.getBytes(UTF_8);
    TarArchiveEntry entry = new TarArchiveEntry(name);
    entry.setSize(bytes.length);
    out.putArchiveEntry(entry);
    out.write(bytes);
    out.closeArchiveEntry();
  }

  private static void put(ZipArchiveOutputStream out, String name, String content, int method)
      throws IOException {
    ZipArchiveEntry entry = new ZipArchiveEntry(name);
    entry.setMethod(method);
    out.putArchiveEntry(entry);
    out.write(content.getBytes(UTF_8));
    out.closeArchiveEntry();
  }

  private static void folderIn(TarArchiveOutputStream out, String name) throws IOException {
    out.putArchiveEntry(new TarArchiveEntry(name));
    out.closeArchiveEntry();
  }

  private static void link(TarArchiveOutputStream out, String name, String target)
      throws IOException {
    TarArchiveEntry entry = new TarArchiveEntry(name, TarConstants.LF_SYMLINK);
    entry.setLinkName(target);
    out.putArchiveEntry(entry);
    out.closeArchiveEntry();
  }
}
