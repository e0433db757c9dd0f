package smelt.formats.source;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import smelt.formats.BadInputException;

/// Finds out what a model was given as, and opens it.
public final class ModelSources {

  private ModelSources() {}

  /// Opens a folder or a Hugging Face cache snapshot.
  ///
  /// Files and folders whose name starts with a dot belong to version control and download tools:
  /// hidden folders are not part of the model, hidden files are.
  ///
  /// @throws NoSuchFileException if nothing is there
  /// @throws BadInputException if something in it would lead out of it; all such files are named
  public static ModelSource open(Path model) throws IOException {
    if (!Files.exists(model)) {
      throw new NoSuchFileException(model.toString());
    }
    if (Files.isDirectory(model)) {
      return FolderSource.open(model);
    }
    throw new BadInputException(
        model.toString(), "no folder", "the folder of a model", "name the folder");
  }
}
