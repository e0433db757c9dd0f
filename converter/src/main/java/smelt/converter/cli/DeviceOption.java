package smelt.converter.cli;

import java.util.List;
import java.util.OptionalLong;
import picocli.CommandLine.Option;
import smelt.calibrate.cuda.CudaProbe;
import smelt.converter.RefusedException;
import smelt.converter.plan.Plan;
import smelt.converter.run.MemoryPlan;
import smelt.converter.run.Offload;
import smelt.converter.run.ProductOffload;
import smelt.formats.checkpoint.Checkpoint;

/// `--device`, the same for every command that computes.
final class DeviceOption {

  /// Where to compute.
  enum DeviceChoice {
    AUTO,
    CPU,
    CUDA
  }

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      defaultValue = "auto",
      description = "auto (a GPU if there is one that fits), cpu or cuda. The bytes are the same.")
  private DeviceChoice device;

  /// Opens what a conversion shall use. A GPU that is asked for and not fit is an error; `auto`
  /// goes on without.
  ///
  /// @param budget bytes of memory that the run may take; empty for no limit
  /// @throws RefusedException if `cuda` is asked for and cannot be
  Offload open(Plan plan, MemoryPlan memory, OptionalLong budget) {
    return switch (device) {
      case CPU -> Offload.none("cpu");
      case AUTO -> Offload.ifFit(CudaProbe.probe(), plan, memory, budget);
      case CUDA -> Offload.require(CudaProbe.probe(), plan, memory, budget);
    };
  }

  /// Opens what products with the weights of models shall use, as `open` does.
  ///
  /// @throws RefusedException if `cuda` is asked for and cannot be
  ProductOffload openProducts(List<Checkpoint> models, ProductOffload.Run run) {
    return switch (device) {
      case CPU -> ProductOffload.none("cpu");
      case AUTO -> ProductOffload.ifFit(CudaProbe.probe(), models, run);
      case CUDA -> ProductOffload.require(CudaProbe.probe(), models, run);
    };
  }

  /// Whether a GPU is asked for.
  boolean isCuda() {
    return device == DeviceChoice.CUDA;
  }

  /// For a command that has nothing for a GPU to do.
  ///
  /// @param command its name
  /// @throws RefusedException if `cuda` is asked for
  void requireProcessor(String command) {
    if (isCuda()) {
      throw new RefusedException(
          "--device cuda",
          command + ", which has no code for GPUs",
          command + " on the processor",
          "leave --device out, or give cpu");
    }
  }
}
