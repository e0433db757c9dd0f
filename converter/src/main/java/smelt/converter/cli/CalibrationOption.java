package smelt.converter.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine;
import picocli.CommandLine.Option;
import smelt.calibrate.observe.CalibrationTable;
import smelt.calibrate.observe.HessianChoice;
import smelt.converter.recipe.Calibrated;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.Solver;
import smelt.converter.recipe.TargetSpec;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.files.Sha256;
import smelt.formats.imatrix.Imatrix;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// `--calibration`, the same for plan and convert.
final class CalibrationOption {

  @CommandLine.Spec(CommandLine.Spec.Target.MIXEE)
  private CommandLine.Model.CommandSpec command;

  @Option(
      names = "--calibration",
      paramLabel = "TABLE",
      description = {
        "What smelt calibrate made of this model, for recipes that choose by it; or an importance",
        "matrix of llama.cpp, of either kind, for GGUF targets with importance: true."
      })
  private Path folder;

  /// @param others options that a table does not go with
  /// @throws CommandLine.ParameterException if a table was named
  void refuseBeside(String others) {
    if (folder != null) {
      throw new CommandLine.ParameterException(
          command.commandLine(),
          "--calibration with " + others + ": verify the result with smelt verify");
    }
  }

  /// What was named, if anything was.
  ///
  /// @throws BadInputException if it is neither kind, a table of another model, or lacks what the
  ///   recipe needs
  Optional<ChosenBy> open(Recipe recipe, Checkpoint checkpoint, ModelSource source)
      throws IOException {
    if (folder == null) {
      return Optional.empty();
    }
    if (Files.isRegularFile(folder)) {
      return Optional.of(matrix(recipe));
    }
    CalibrationTable table = CalibrationTable.open(folder);
    table.requireModel(checkpoint, source);
    requireHessians(recipe, table.index().settings().hessians());
    return Optional.of(new ChosenBy.Table(table));
  }

  private ChosenBy.Matrix matrix(Recipe recipe) throws IOException {
    for (TargetSpec target : recipe.targets()) {
      Calibrated own = target.calibrated();
      if (own.strongest() != Solver.ROUNDING || !own.smooth().isEmpty() || own.staticInputs()) {
        throw new BadInputException(
            folder.toString(),
            "an importance matrix, and target " + target.name() + " that is chosen by more",
            "a folder that smelt calibrate made",
            "give a table: smelt calibrate MODEL --corpus FILE -o TABLE");
      }
    }
    String name = folder.getFileName().toString();
    try (ModelSource files =
            ModelSources.files(folder, folder.toAbsolutePath().getParent(), List.of(name));
        ByteSource file = files.open(name)) {
      return new ChosenBy.Matrix(Imatrix.read(file), folder.toString(), file.size(), digest());
    }
  }

  private String digest() throws IOException {
    MessageDigest digest = Sha256.start();
    try (InputStream in = new DigestInputStream(Files.newInputStream(folder), digest)) {
      in.transferTo(OutputStream.nullOutputStream());
    }
    return Sha256.hex(digest);
  }

  /// A solver that has no second moments at all would be another one under its name.
  private void requireHessians(Recipe recipe, HessianChoice found) {
    for (TargetSpec target : recipe.targets()) {
      Solver solver = target.calibrated().strongest();
      HessianChoice wanted =
          switch (solver) {
            case ROUNDING, WEIGHTED -> HessianChoice.NONE;
            case GPTQ_POOL, GPTQ_POOL_RESCALE -> HessianChoice.POOL;
            case GPTQ, GPTQ_RESCALE -> HessianChoice.ALL;
          };
      if (found.compareTo(wanted) < 0) {
        throw new BadInputException(
            folder.toString(),
            "Hessians: " + found.name().toLowerCase(Locale.ROOT),
            wanted.name().toLowerCase(Locale.ROOT) + ", for solver " + solver.label(),
            "calibrate with --hessians "
                + wanted.name().toLowerCase(Locale.ROOT)
                + ", or take a solver that needs less");
      }
    }
  }
}
