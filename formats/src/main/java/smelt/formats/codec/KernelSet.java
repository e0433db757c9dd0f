package smelt.formats.codec;

import java.util.Optional;
import smelt.formats.UnsupportedException;

/// Chooses the kernels, once, where the program is put together.
///
/// The vector kernels need the module `jdk.incubator.vector`, which a JVM has only when started
/// with `--add-modules jdk.incubator.vector`. Without it their class is never loaded.
public final class KernelSet {

  private static final String MODULE = "jdk.incubator.vector";

  private KernelSet() {}

  /// The kernels of a name.
  ///
  /// @param name `auto` (vector where it is available, else scalar), `scalar` or `vector`
  /// @throws UnsupportedException if the vector kernels are asked for and not available
  /// @throws IllegalArgumentException for any other name
  public static Kernels choose(String name) {
    return switch (name) {
      case "scalar" -> new ScalarKernels();
      case "vector" -> {
        whyNoVector()
            .ifPresent(reason -> {
              throw new UnsupportedException("--kernels vector: " + reason, "use auto or scalar");
            });
        yield Vector.kernels();
      }
      case "auto" -> whyNoVector().isEmpty() ? Vector.kernels() : new ScalarKernels();
      default ->
          throw new IllegalArgumentException(
              "no kernels named '" + name + "'; there are auto, scalar, vector");
    };
  }

  /// Why the vector kernels cannot be used; empty when they can.
  public static Optional<String> whyNoVector() {
    return ModuleLayer.boot().findModule(MODULE).isPresent()
        ? Optional.empty()
        : Optional.of("this JVM was started without --add-modules " + MODULE);
  }

  /// Keeps the reference to the vector kernels out of the class above, so that it links without
  /// them.
  private static final class Vector {
    static Kernels kernels() {
      return new VectorKernels();
    }
  }
}
