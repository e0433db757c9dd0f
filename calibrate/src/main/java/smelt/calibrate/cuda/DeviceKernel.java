package smelt.calibrate.cuda;

import jcuda.driver.CUfunction;

/// A kernel that is loaded into the device.
///
/// @param name its entry point
record DeviceKernel(String name, CUfunction function) {}
