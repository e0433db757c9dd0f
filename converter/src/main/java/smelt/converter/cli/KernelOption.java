package smelt.converter.cli;

import java.util.Locale;
import picocli.CommandLine.Option;
import smelt.converter.RefusedException;
import smelt.formats.UnsupportedException;
import smelt.formats.codec.KernelSet;
import smelt.formats.codec.Kernels;

/// `--kernels`, the same for every command that converts.
final class KernelOption {

  /// Kernel sets that can be asked for.
  enum KernelChoice {
    AUTO,
    VECTOR,
    SCALAR
  }

  @Option(
      names = "--kernels",
      paramLabel = "SET",
      defaultValue = "auto",
      description = "auto, vector or scalar. All give the same bytes.")
  private KernelChoice kernels;

  /// @throws RefusedException if a set is asked for that this Java machine lacks
  Kernels chosen() {
    try {
      return KernelSet.choose(kernels.name().toLowerCase(Locale.ROOT));
    } catch (UnsupportedException e) {
      throw new RefusedException(
          "--kernels vector",
          e.getMessage(),
          "a Java machine with the vector module",
          "start through ./smelt, or let --kernels be auto");
    }
  }
}
