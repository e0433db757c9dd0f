package smelt.calibrate.math;

class ScalarMathTest extends MathKernelsContract {
  @Override
  MathKernels kernels() {
    return MathKernelSet.choose("scalar");
  }
}
