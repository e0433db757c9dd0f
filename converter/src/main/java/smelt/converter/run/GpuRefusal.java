package smelt.converter.run;

import java.util.List;
import java.util.OptionalLong;
import smelt.calibrate.cuda.CudaState;
import smelt.calibrate.cuda.DeviceException;
import smelt.converter.ByteSize;
import smelt.converter.RefusedException;
import smelt.formats.Problem;

/// Why a GPU is not used, each reason in its own sentence.
final class GpuRefusal {

  private GpuRefusal() {}

  static RefusedException of(String found, String expected, String remedy) {
    return new RefusedException(List.of(new Problem("--device cuda", found, expected, remedy)));
  }

  /// @throws RefusedException unless there is a device that the kernels run on
  static CudaState.Ready requireReady(CudaState state) {
    if (!(state instanceof CudaState.Ready ready)) {
      throw of(state.text(), state.expected(), state.remedy());
    }
    return ready;
  }

  /// @param peak bytes of the host's memory with the GPU's driver
  /// @throws RefusedException if that is more than the run may take
  static void requireHostMemory(long peak, OptionalLong budget) {
    if (budget.isPresent() && peak > budget.getAsLong()) {
      throw of(
          "a run whose GPU driver takes the memory to " + ByteSize.format(peak),
          "at most " + ByteSize.format(budget.getAsLong()) + ", as --memory says",
          "give --memory " + ByteSize.format(peak) + ", or --device cpu");
    }
  }

  /// @param needed bytes of the device's memory
  /// @param what they are for
  /// @throws RefusedException if fewer are free
  static void requireDeviceMemory(CudaState.Ready ready, long needed, String what) {
    if (ready.freeBytes() < needed) {
      throw of(
          ready.name() + " with " + ByteSize.format(ready.freeBytes()) + " of free memory",
          ByteSize.format(needed) + " for " + what,
          "stop what else uses the GPU, or use --device cpu");
    }
  }

  /// A device that failed, or that gave something else than the processor.
  ///
  /// @param same what it should give, such as `bytes`
  static RefusedException broken(CudaState.Ready ready, DeviceException failure, String same) {
    return of(
        ready.name() + ", which does not work (" + failure.getMessage() + ")",
        "a GPU that gives the " + same + " of the processor",
        "look at nvidia-smi, report this, and use --device cpu");
  }
}
