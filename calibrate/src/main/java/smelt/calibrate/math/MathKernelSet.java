package smelt.calibrate.math;

public final class MathKernelSet {
  public static MathKernels choose(String name) {
    return new MathKernels() {};
  }
}
