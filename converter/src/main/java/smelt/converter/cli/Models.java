package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import smelt.formats.BadInputException;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Opens what a command was given as MODEL.
final class Models {

  private Models() {}

  /// The caller closes it.
  ///
  /// @throws BadInputException if nothing is there, or it is no model
  static ModelSource open(Path model) throws IOException {
    try {
      return ModelSources.open(model);
    } catch (NoSuchFileException e) {
      throw new BadInputException(
          e.getFile(), "nothing there", "a model's folder or archive", "check the path");
    }
  }
}
