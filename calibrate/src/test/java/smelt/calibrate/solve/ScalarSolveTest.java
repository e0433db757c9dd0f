package smelt.calibrate.solve;

class ScalarSolveTest extends SolveKernelsContract {
  @Override
  SolveKernels kernels() {
    return SolveKernelSet.choose("scalar");
  }
}
