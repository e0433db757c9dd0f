package smelt.calibrate.solve;

import smelt.formats.UnsupportedException;
import smelt.formats.codec.KernelSet;

/// Chooses the kernels of the solvers, once, where the program is put together. The vector kernels
/// need what those of the codecs need.
public final class SolveKernelSet {

  private SolveKernelSet() {}

  /// The kernels of a name.
  ///
  /// @param name `auto` (vector where it is available, else scalar), `scalar` or `vector`
  /// @throws UnsupportedException if the vector kernels are asked for and not available
  /// @throws IllegalArgumentException for any other name
  public static SolveKernels choose(String name) {
    return switch (name) {
      case "scalar" -> new ScalarSolve();
      case "vector" -> {
        KernelSet.whyNoVector()
            .ifPresent(reason -> {
              throw new UnsupportedException("--kernels vector: " + reason, "use auto or scalar");
            });
        yield Vector.kernels();
      }
      case "auto" -> KernelSet.whyNoVector().isEmpty() ? Vector.kernels() : new ScalarSolve();
      default ->
          throw new IllegalArgumentException(
              "no kernels named '" + name + "'; there are auto, scalar, vector");
    };
  }

  /// Keeps the reference to the vector kernels out of the class above, so that it links without
  /// them.
  private static final class Vector {
    static SolveKernels kernels() {
      return new VectorSolve();
    }
  }
}
