package smelt.formats.source;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;

/// Finds out what a model was given as, and opens it.
public final class ModelSources {

  private static final int TAR_MAGIC_OFFSET = 257;
  private static final int MAGIC_BYTES = TAR_MAGIC_OFFSET + 5;
  private static final String PLAIN =
      "a plain tar or a zip without compression can be read in place: unpack this one, or pack it"
          + " again (tar -cf, zip -0 -r)";

  private static final Pattern GGUF_PART = Pattern.compile("(.*)-\\d{5}-of-(\\d{5})\\.gguf");

  private ModelSources() {}

  /// Opens a folder, a Hugging Face cache snapshot, a plain tar or stored zip of either, or a GGUF
  /// file, to which the other parts of a split model belong.
  ///
  /// Archives are told by their content. Their files are read in place; one folder that holds
  /// everything else is stripped from names. Compressed archives are refused, but for side files of
  /// at most 64 MiB that are deflated in a zip. Links are refused, except from a snapshot to a blob
  /// of its own cache.
  ///
  /// Files and folders whose name starts with a dot belong to version control and download tools:
  /// hidden folders are not part of the model, hidden files are.
  ///
  /// @throws NoSuchFileException if nothing is there
  /// @throws BadInputException if something in it would lead out of it, or is damaged; all such
  ///   files are named
  /// @throws UnsupportedException if the archive is compressed
  public static ModelSource open(Path model) throws IOException {
    if (!Files.exists(model)) {
      throw new NoSuchFileException(model.toString());
    }
    if (Files.isDirectory(model)) {
      refuseCacheWithoutSnapshot(model);
      return FolderSource.open(model);
    }
    if (Files.isRegularFile(model)) {
      return openArchive(model, model.toRealPath());
    }
    throw noModel(model);
  }

  /// Opens files of a folder, and no others.
  ///
  /// @param given what the user named
  /// @param names of files that are in the folder
  public static ModelSource files(Path given, Path folder, List<String> names) throws IOException {
    return FolderSource.of(given, folder, names);
  }

  private static ModelSource openArchive(Path given, Path archive) throws IOException {
    String magic = magic(archive);
    if (magic.startsWith("PK\3\4") || magic.startsWith("PK\5\6")) {
      return ArchiveSource.openZip(archive);
    }
    if (magic.startsWith("ustar", TAR_MAGIC_OFFSET)) {
      return ArchiveSource.openTar(archive);
    }
    if (magic.startsWith("GGUF")) {
      return FolderSource.of(given, given.toAbsolutePath().getParent(), parts(given));
    }
    String compression = compression(magic);
    if (!compression.isEmpty()) {
      throw new UnsupportedException(given + ", compressed with " + compression + ",", PLAIN);
    }
    throw noModel(given);
  }

  /// A GGUF file, and where its name is that of a part, the other parts beside it.
  private static List<String> parts(Path given) throws IOException {
    String file = given.getFileName().toString();
    Matcher part = GGUF_PART.matcher(file);
    if (!part.matches()) {
      return List.of(file);
    }
    try (Stream<Path> files = Files.list(given.toAbsolutePath().getParent())) {
      return files
          .map(other -> other.getFileName().toString())
          .filter(other -> {
            Matcher name = GGUF_PART.matcher(other);
            return name.matches()
                && name.group(1).equals(part.group(1))
                && name.group(2).equals(part.group(2));
          })
          .sorted()
          .toList();
    }
  }

  private static BadInputException noModel(Path given) {
    return new BadInputException(
        given.toString(),
        "neither a folder nor an archive",
        "the folder of a model, or a plain tar or stored zip of it",
        "name the folder that holds config.json");
  }

  private static String magic(Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      return new String(in.readNBytes(MAGIC_BYTES), ISO_8859_1);
    }
  }

  /// The compression that a file's first bytes tell; empty when they tell none.
  private static String compression(String magic) {
    if (magic.startsWith("\u001f\u008b")) {
      return "gzip";
    }
    if (magic.startsWith("(\u00b5/\u00fd")) {
      return "zstd";
    }
    if (magic.startsWith("\u00fd7zXZ")) {
      return "xz";
    }
    if (magic.startsWith("BZh")) {
      return "bzip2";
    }
    return magic.startsWith("7z\u00bc\u00af") ? "7-Zip" : "";
  }

  private static void refuseCacheWithoutSnapshot(Path model) throws IOException {
    Path snapshots = model.resolve("snapshots");
    if (!Files.isDirectory(snapshots) || !Files.isDirectory(model.resolve("blobs"))) {
      return;
    }
    try (Stream<Path> commits = Files.list(snapshots)) {
      List<String> names = commits.map(Path::toString).sorted().toList();
      throw new BadInputException(
          model.toString(),
          "a cache folder of snapshots",
          "one snapshot",
          names.isEmpty() ? "download the model" : "name one of " + String.join(", ", names));
    }
  }
}
