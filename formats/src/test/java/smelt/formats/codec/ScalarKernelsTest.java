package smelt.formats.codec;

class ScalarKernelsTest extends KernelsContract {
  @Override
  Kernels kernels() {
    return KernelSet.choose("scalar");
  }
}
