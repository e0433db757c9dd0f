package smelt.calibrate.math;

/// Chooses the math kernels, once, where the program is put together.
public final class MathKernelSet {

  private MathKernelSet() {}

  /// The math kernels of a name.
  ///
  /// @param name `auto` (vector where it is available, else scalar), `scalar` or `vector`
  /// @throws IllegalArgumentException for any other name
  public static MathKernels choose(String name) {
    return switch (name) {
      case "scalar", "vector", "auto" -> new ScalarMath();
      default ->
          throw new IllegalArgumentException(
              "no kernels named '" + name + "'; there are auto, scalar, vector");
    };
  }
}
