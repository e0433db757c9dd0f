package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Leftover;
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

  /// A checkpoint to convert from.
  ///
  /// @throws UnsupportedException for sums with a stored bias: it may hold a bias of the linear
  ///   that no other tensor has, and would be lost
  static Checkpoint toConvert(ModelSource source) throws IOException {
    Checkpoint checkpoint = Checkpoint.open(source);
    for (Leftover leftover : checkpoint.leftovers()) {
      if (leftover.tensor().name().endsWith(".quant_bias")) {
        throw new UnsupportedException(
            "converting from Ascend static W8A8 weights (" + leftover.tensor().name() + ")",
            "convert from the model that they were made from");
      }
    }
    return checkpoint;
  }
}
