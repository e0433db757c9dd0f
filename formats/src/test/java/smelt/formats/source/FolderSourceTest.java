package smelt.formats.source;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.BadInputException;

class FolderSourceTest {

  private static final String BLOB = "0123456789abcdef0123456789abcdef01234567";

  @TempDir Path temp;
  private Path folder;

  @BeforeEach
  void makeFolder() throws IOException {
    folder = Files.createDirectories(temp.resolve("model"));
    Files.writeString(folder.resolve("config.json"), "{}");
  }

  @Test
  void namesFilesByTheirPathInTheModel() throws IOException {
    Files.createDirectories(folder.resolve("sub/deep"));
    Files.writeString(folder.resolve("sub/deep/b"), "bytes");
    Files.writeString(folder.resolve(".gitattributes"), "");
    try (ModelSource model = ModelSources.open(folder)) {
      assertThat(model.names()).containsExactly(".gitattributes", "config.json", "sub/deep/b");
      assertThat(model.readSmall("sub/deep/b", 5)).isEqualTo("bytes".getBytes(UTF_8));
      assertThatThrownBy(() -> model.readSmall("sub/deep/b", 4))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("sub/deep/b")
          .hasMessageContaining("at most 4");
      assertThatThrownBy(() -> model.open("../outside")).isInstanceOf(NoSuchFileException.class);
    }
  }

  @Test
  void leavesOutHiddenFolders() throws IOException {
    Files.createDirectories(folder.resolve(".git/objects"));
    Files.createSymbolicLink(folder.resolve(".git/objects/x"), temp.resolve("anything"));
    try (ModelSource model = ModelSources.open(folder)) {
      assertThat(model.names()).containsExactly("config.json");
    }
  }

  @Test
  void refusesEveryLinkByName() throws IOException {
    Files.writeString(temp.resolve("secret"), "secret");
    Files.createSymbolicLink(folder.resolve("out"), temp.resolve("secret"));
    Files.createSymbolicLink(folder.resolve("inside"), Path.of("config.json"));
    Files.createSymbolicLink(folder.resolve("folder"), temp);
    assertThatThrownBy(() -> ModelSources.open(folder))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("out")
        .hasMessageContaining("inside")
        .hasMessageContaining("folder")
        .satisfies(e -> assertThat(((BadInputException) e).problems()).hasSize(3));
  }

  @Test
  void opensASnapshotThroughItsLinks() throws IOException {
    Path snapshot = snapshot();
    Files.createDirectories(snapshot.resolve("sub"));
    Files.createSymbolicLink(snapshot.resolve("a"), Path.of("../../blobs", BLOB));
    Files.createSymbolicLink(snapshot.resolve("sub/b"), Path.of("../../../blobs", BLOB));
    try (ModelSource model = ModelSources.open(snapshot)) {
      assertThat(model.names()).containsExactly("a", "sub/b");
      assertThat(model.readSmall("sub/b", 10)).isEqualTo("blob".getBytes(UTF_8));
    }
    Path given = Files.createSymbolicLink(temp.resolve("given"), snapshot);
    try (ModelSource model = ModelSources.open(given)) {
      assertThat(model.names()).containsExactly("a", "sub/b");
    }
    try (ModelSource model = ModelSources.open(snapshot.resolve("sub"))) {
      assertThat(model.names()).containsExactly("b");
    }
  }

  @Test
  void refusesSnapshotLinksToAnythingButBlobs() throws IOException {
    Path snapshot = snapshot();
    Path blobs = snapshot.resolve("../../blobs").normalize();
    Files.writeString(blobs.resolve("name"), "");
    Path outside = Files.writeString(temp.resolve("outside"), "");
    Files.createSymbolicLink(blobs.resolve("f".repeat(64)), outside);
    Files.createSymbolicLink(snapshot.resolve("toOutside"), outside);
    Files.createSymbolicLink(snapshot.resolve("toName"), Path.of("../../blobs/name"));
    Files.createSymbolicLink(snapshot.resolve("toLink"), Path.of("../../blobs", "f".repeat(64)));
    Files.createSymbolicLink(snapshot.resolve("toNothing"), Path.of("../../blobs", "e".repeat(64)));
    Files.createSymbolicLink(snapshot.resolve("toFolder"), Path.of("../../blobs"));
    Files.createSymbolicLink(snapshot.resolve("good"), Path.of("../../blobs", BLOB));
    assertThatThrownBy(() -> ModelSources.open(snapshot))
        .isInstanceOf(BadInputException.class)
        .satisfies(e -> assertThat(((BadInputException) e).problems()).hasSize(5))
        .hasMessageNotContaining("good");
  }

  @Test
  void namesTheSnapshotsOfACacheFolder() throws IOException {
    Path snapshot = snapshot();
    assertThatThrownBy(() -> ModelSources.open(temp.resolve("models--org--name")))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(snapshot.toString());
  }

  @Test
  void refusesAPipe() throws Exception {
    new ProcessBuilder("mkfifo", folder.resolve("pipe").toString()).start().waitFor();
    assertThatThrownBy(() -> ModelSources.open(folder))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("pipe");
    assertThatThrownBy(() -> ModelSources.open(folder.resolve("pipe")))
        .isInstanceOf(BadInputException.class);
  }

  @Test
  void saysThatNothingIsThere() {
    assertThatThrownBy(() -> ModelSources.open(temp.resolve("absent")))
        .isInstanceOf(NoSuchFileException.class);
  }

  @Test
  void refusesAFileThatIsNoArchive() throws IOException {
    assertThatThrownBy(() -> ModelSources.open(folder.resolve("config.json")))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("neither a folder nor an archive");
  }

  private Path snapshot() throws IOException {
    Path cache = temp.resolve("models--org--name");
    Path blobs = Files.createDirectories(cache.resolve("blobs"));
    Files.writeString(blobs.resolve(BLOB), "blob");
    return Files.createDirectories(cache.resolve("snapshots/abc"));
  }
}
