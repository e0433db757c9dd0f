package smelt.calibrate.cuda;

import java.util.Locale;

/// Whether this machine has a GPU that the kernels run on, and if not, why.
public sealed interface CudaState {

  /// What was found, as a part of a sentence.
  String text();

  /// What would have to be there, as a part of a sentence; empty when it is.
  String expected();

  /// What a person can do about it; empty when there is nothing to do.
  String remedy();

  /// A device that can be used.
  ///
  /// @param driver the CUDA version of the driver, as 1000 x major + 10 x minor
  /// @param capability the device's compute capability, as 10 x major + minor
  record Ready(
      String name, int driver, int capability, int processors, long totalBytes, long freeBytes)
      implements CudaState {
    @Override
    public String text() {
      return String.format(
          Locale.ROOT,
          "%s, compute capability %d.%d, %.1f of %.1f GiB free, driver for CUDA %s",
          name,
          capability / 10,
          capability % 10,
          freeBytes / 0x1p30,
          totalBytes / 0x1p30,
          version(driver));
    }

    @Override
    public String expected() {
      return "";
    }

    @Override
    public String remedy() {
      return "";
    }
  }

  /// The driver's library is not installed.
  record NoDriver(String library) implements CudaState {
    @Override
    public String text() {
      return "no NVIDIA driver (" + library + " not found)";
    }

    @Override
    public String expected() {
      return "a driver for CUDA " + version(CudaProbe.NEEDED_DRIVER) + " or newer";
    }

    @Override
    public String remedy() {
      return "install the driver, in a container start it with access to the GPU, or leave the"
          + " device to auto";
    }
  }

  /// The driver is older than the compiled kernels.
  record OldDriver(int driver) implements CudaState {
    @Override
    public String text() {
      return "an NVIDIA driver for CUDA " + version(driver);
    }

    @Override
    public String expected() {
      return "one for CUDA " + version(CudaProbe.NEEDED_DRIVER) + " (R580) or newer";
    }

    @Override
    public String remedy() {
      return "update the driver, or leave the device to auto";
    }
  }

  /// There is a driver, and no device for it.
  record NoDevice() implements CudaState {
    @Override
    public String text() {
      return "an NVIDIA driver, but no GPU that it may use";
    }

    @Override
    public String expected() {
      return "a GPU";
    }

    @Override
    public String remedy() {
      return "look at nvidia-smi and CUDA_VISIBLE_DEVICES, or leave the device to auto";
    }
  }

  /// The device is older than the compiled kernels.
  record OldDevice(String name, int capability) implements CudaState {
    @Override
    public String text() {
      return name + ", compute capability " + capability / 10 + "." + capability % 10;
    }

    @Override
    public String expected() {
      int needed = CudaProbe.NEEDED_CAPABILITY;
      return "compute capability " + needed / 10 + "." + needed % 10 + " or newer";
    }

    @Override
    public String remedy() {
      return "use a GPU of the Ampere generation or newer, or leave the device to auto";
    }
  }

  /// The driver or its Java binding does not work.
  record Broken(String why) implements CudaState {
    @Override
    public String text() {
      return "an NVIDIA driver that does not answer (" + why + ")";
    }

    @Override
    public String expected() {
      return "a driver that works";
    }

    @Override
    public String remedy() {
      return "look at nvidia-smi, or leave the device to auto";
    }
  }

  private static String version(int driver) {
    return driver / 1000 + "." + driver % 1000 / 10;
  }
}
