package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Deque;
import java.util.List;
import java.util.stream.Stream;
import smelt.formats.gguf.GgufModel;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Opens what commands take besides checkpoints: a GGUF file stands for all parts of its model.
final class Inputs {

  private static final String GGUF = ".gguf";

  private Inputs() {}

  /// The caller closes it.
  static ModelSource open(Path path) throws IOException {
    if (!path.toString().endsWith(GGUF) || !Files.isRegularFile(path)) {
      return Models.open(path);
    }
    Path folder = path.toAbsolutePath().getParent();
    try (Stream<Path> files = Files.list(folder)) {
      List<String> names = files.map(file -> file.getFileName().toString()).toList();
      return ModelSources.files(
          path, folder, GgufModel.partsOf(path.getFileName().toString(), names));
    }
  }

  /// Closes all, the last first.
  static void closeAll(Deque<ModelSource> opened) throws IOException {
    while (!opened.isEmpty()) {
      opened.pop().close();
    }
  }
}
