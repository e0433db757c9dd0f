package smelt.calibrate.cuda;

import jcuda.driver.CUdeviceptr;

/// An address in the device's memory, which JCuda sets and kernels take as a number.
final class DevicePointer extends CUdeviceptr {

  long address() {
    return getNativePointer();
  }
}
