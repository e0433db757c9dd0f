/// Kernels for NVIDIA GPUs through the driver alone: twins of the codec kernels, which give the
/// same bytes, and of the math kernels, which stay within a bound. The kernels are in
/// `src/main/cuda`, compiled beforehand; this package finds the device, moves memory and starts
/// them.
package smelt.calibrate.cuda;
