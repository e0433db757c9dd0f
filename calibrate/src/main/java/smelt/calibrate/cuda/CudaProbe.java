package smelt.calibrate.cuda;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.charset.StandardCharsets;
import java.util.List;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/// Looks for a GPU, step by step, so that each thing that may be missing has its own answer.
public final class CudaProbe {

  /// The library of NVIDIA's driver.
  public static final String LIBRARY = "libcuda.so.1";

  /// The driver that the compiled kernels need, that of CUDA 13.0.
  static final int NEEDED_DRIVER = 13000;

  /// The device that the kernels need: BF16 on tensor cores.
  static final int NEEDED_CAPABILITY = 80;

  private static final int NAME_BYTES = 256;

  private CudaProbe() {}

  /// What this machine has.
  public static CudaState probe() {
    return probe(LIBRARY);
  }

  /// @param library name of the driver's library
  static CudaState probe(String library) {
    if (!isThere(library)) {
      return new CudaState.NoDriver(library);
    }
    try {
      JcudaLibrary.load();
      return ask();
    } catch (IOException | DeviceException e) {
      return new CudaState.Broken(String.valueOf(e.getMessage()));
    } catch (LinkageError e) {
      return new CudaState.Broken(reason(e));
    }
  }

  /// JCuda cannot be asked this: without the driver its first class fails for good.
  @SuppressWarnings("restricted") // native access is what this class is for
  private static boolean isThere(String library) {
    try (Arena arena = Arena.ofConfined()) {
      SymbolLookup.libraryLookup(library, arena);
      return true;
    } catch (IllegalArgumentException _) {
      return false;
    }
  }

  private static CudaState ask() {
    int started = JCudaDriver.cuInit(0);
    if (started == CUresult.CUDA_ERROR_NO_DEVICE) {
      return new CudaState.NoDevice();
    }
    DeviceException.check("starting the driver", started);
    int[] version = new int[1];
    DeviceException.check(
        "asking for the driver's version", JCudaDriver.cuDriverGetVersion(version));
    if (version[0] < NEEDED_DRIVER) {
      return new CudaState.OldDriver(version[0]);
    }
    int[] devices = new int[1];
    DeviceException.check("counting devices", JCudaDriver.cuDeviceGetCount(devices));
    return devices[0] == 0 ? new CudaState.NoDevice() : describe(version[0]);
  }

  private static CudaState describe(int driver) {
    CUdevice device = first();
    byte[] bytes = new byte[NAME_BYTES];
    DeviceException.check(
        "asking for the device's name", JCudaDriver.cuDeviceGetName(bytes, bytes.length, device));
    String name = new String(bytes, StandardCharsets.UTF_8);
    name = name.substring(0, name.indexOf('\0')).strip();
    int capability =
        10 * attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
            + attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    if (capability < NEEDED_CAPABILITY) {
      return new CudaState.OldDevice(name, capability);
    }
    int processors = attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    long[] free = new long[1];
    long[] total = new long[1];
    CUcontext context = retain(device);
    try {
      DeviceException.check("using the device", JCudaDriver.cuCtxSetCurrent(context));
      DeviceException.check(
          "asking for the device's memory", JCudaDriver.cuMemGetInfo(free, total));
    } finally {
      JCudaDriver.cuDevicePrimaryCtxRelease(device);
    }
    return new CudaState.Ready(name, driver, capability, processors, total[0], free[0]);
  }

  /// The first device, which `CUDA_VISIBLE_DEVICES` chooses.
  static CUdevice first() {
    CUdevice device = new CUdevice();
    DeviceException.check("taking the first device", JCudaDriver.cuDeviceGet(device, 0));
    return device;
  }

  static CUcontext retain(CUdevice device) {
    CUcontext context = new CUcontext();
    DeviceException.check(
        "opening the device", JCudaDriver.cuDevicePrimaryCtxRetain(context, device));
    return context;
  }

  private static int attribute(CUdevice device, int attribute) {
    int[] value = new int[1];
    DeviceException.check(
        "asking what the device can do",
        JCudaDriver.cuDeviceGetAttribute(value, attribute, device));
    return value[0];
  }

  /// JCuda's message is long; the linker's own line says what is missing.
  private static String reason(LinkageError e) {
    List<String> lines = String.valueOf(e.getMessage()).lines().map(String::strip).toList();
    return lines.stream()
        .filter(line -> line.contains("undefined symbol") || line.contains("cannot open"))
        .findFirst()
        .orElse(lines.isEmpty() ? e.toString() : lines.getFirst());
  }
}
