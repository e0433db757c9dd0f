package smelt.calibrate.cuda;

import jcuda.driver.CUresult;

/// The driver refused an operation, or the device failed in one.
public final class DeviceException extends RuntimeException {

  private static final long serialVersionUID = 1;

  private final int result;

  DeviceException(String operation, int result) {
    super(operation + ": " + CUresult.stringFor(result));
    this.result = result;
  }

  /// The device works, but not as it must.
  DeviceException(String fault) {
    super(fault);
    this.result = CUresult.CUDA_SUCCESS;
  }

  /// Whether the device's memory was used up.
  public boolean isOutOfMemory() {
    return result == CUresult.CUDA_ERROR_OUT_OF_MEMORY;
  }

  /// Passes on what the driver said.
  ///
  /// @param operation what was tried, for people
  /// @throws DeviceException unless the result is success
  static void check(String operation, int result) {
    if (result != CUresult.CUDA_SUCCESS) {
      throw new DeviceException(operation, result);
    }
  }
}
