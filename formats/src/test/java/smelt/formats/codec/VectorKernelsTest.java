package smelt.formats.codec;

/// Fails, and does not skip, where the vector module is missing.
class VectorKernelsTest extends KernelsContract {
  @Override
  Kernels kernels() {
    return KernelSet.choose("vector");
  }
}
