package smelt.calibrate.cuda;

import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUfunction;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;

/// An open GPU with the compiled kernels. Memory and streams that it gives must be closed before it
/// is. Any thread may use it.
public final class CudaDevice implements AutoCloseable {

  private final CudaState.Ready state;
  private final CUdevice device;
  private final CUcontext context;
  private final Map<KernelImage, CUmodule> modules = new EnumMap<>(KernelImage.class);
  private final Map<String, DeviceKernel> kernels = new ConcurrentHashMap<>();

  private CudaDevice(CudaState.Ready state) {
    this.state = state;
    this.device = CudaProbe.first();
    this.context = CudaProbe.retain(device);
  }

  /// Opens the device that a probe found.
  ///
  /// @throws DeviceException if the driver does not take the kernels
  public static CudaDevice open(CudaState.Ready state) {
    CudaDevice opened = new CudaDevice(state);
    try {
      opened.load();
      return opened;
    } catch (RuntimeException e) {
      opened.close();
      throw e;
    }
  }

  private void load() {
    bind();
    for (KernelImage image : KernelImage.values()) {
      CUmodule module = new CUmodule();
      DeviceException.check(
          "loading " + image.file(), JCudaDriver.cuModuleLoadData(module, image.bytes()));
      modules.put(image, module);
    }
  }

  public CudaState.Ready state() {
    return state;
  }

  /// Makes this device that of the calling thread.
  void bind() {
    DeviceException.check("using the device", JCudaDriver.cuCtxSetCurrent(context));
  }

  /// Bytes that are free now.
  public long freeBytes() {
    long[] free = new long[1];
    bind();
    DeviceException.check(
        "asking for the device's memory", JCudaDriver.cuMemGetInfo(free, new long[1]));
    return free[0];
  }

  /// @param bytes at least 1
  public DeviceMemory allocate(long bytes) {
    return new DeviceMemory(this, bytes);
  }

  public DeviceStream stream() {
    return new DeviceStream(this);
  }

  /// A kernel by the name of its entry point.
  DeviceKernel kernel(KernelImage image, String name) {
    return kernels.computeIfAbsent(
        name,
        _ -> {
          CUfunction function = new CUfunction();
          bind();
          DeviceException.check(
              "finding the kernel " + name,
              JCudaDriver.cuModuleGetFunction(function, modules.get(image), name));
          return new DeviceKernel(name, function);
        });
  }

  @Override
  public void close() {
    bind();
    for (CUmodule module : modules.values()) {
      DeviceException.check("unloading kernels", JCudaDriver.cuModuleUnload(module));
    }
    modules.clear();
    DeviceException.check("closing the device", JCudaDriver.cuDevicePrimaryCtxRelease(device));
  }
}
