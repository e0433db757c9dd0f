package smelt.converter.run;

import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import smelt.calibrate.cuda.CudaDevice;
import smelt.calibrate.cuda.CudaState;
import smelt.calibrate.cuda.CudaTranscoder;
import smelt.calibrate.cuda.DeviceException;
import smelt.calibrate.cuda.TranscoderCheck;
import smelt.converter.RefusedException;
import smelt.converter.plan.Job;
import smelt.converter.plan.Plan;
import smelt.converter.plan.Unit;
import smelt.formats.codec.DeviceTranscoder;
import smelt.formats.codec.Encoding;

/// The GPU that a conversion uses, if any. Before it is used, it converts a small tile of each pair
/// of encodings in the plan, and the bytes must be those of the processor.
public final class Offload implements AutoCloseable {

  /// Tiles that are on the device at the same time, at most: one is copied there, one computed, one
  /// copied back, and one waits.
  private static final int LANES = 4;

  private final String text;
  private final Optional<Opened> opened;

  private record Opened(CudaDevice device, CudaTranscoder transcoder) {}

  private Offload(String text, Optional<Opened> opened) {
    this.text = text;
    this.opened = opened;
  }

  /// No GPU.
  ///
  /// @param text for the log, why
  public static Offload none(String text) {
    return new Offload(text, Optional.empty());
  }

  /// A GPU if one is there and fits, else none.
  public static Offload ifFit(CudaState state, Plan plan, MemoryPlan memory, OptionalLong budget) {
    try {
      return require(state, plan, memory, budget);
    } catch (RefusedException e) {
      return none("cpu: " + e.problems().getFirst().found());
    }
  }

  /// A GPU that fits.
  ///
  /// @throws RefusedException if there is none
  public static Offload require(
      CudaState state, Plan plan, MemoryPlan memory, OptionalLong budget) {
    Set<Pair> pairs = pairs(plan);
    if (pairs.isEmpty()) {
      throw GpuRefusal.of(
          "a plan without a tensor that GPU kernels write",
          "one that transcodes to BF16, F32, or E4M3 or INT8 in blocks or channels",
          "use --device cpu");
    }
    CudaState.Ready ready = GpuRefusal.requireReady(state);
    GpuRefusal.requireHostMemory(memory.peakWithDriver(), budget);
    long lane = memory.deviceTileBytes();
    GpuRefusal.requireDeviceMemory(ready, lane, "a tile");
    int lanes = (int) Math.min(Math.min(LANES, memory.threads()), ready.freeBytes() / lane);
    return open(ready, pairs, lanes);
  }

  private static Offload open(CudaState.Ready ready, Set<Pair> pairs, int lanes) {
    try {
      CudaDevice device = CudaDevice.open(ready);
      try {
        CudaTranscoder transcoder = new CudaTranscoder(device, lanes);
        try {
          pairs.forEach(p -> TranscoderCheck.check(transcoder, p.from(), p.to()));
          Opened opened = new Opened(device, transcoder);
          return new Offload(transcoder.name(), Optional.of(opened));
        } catch (RuntimeException e) {
          transcoder.close();
          throw e;
        }
      } catch (RuntimeException e) {
        device.close();
        throw e;
      }
    } catch (DeviceException e) {
      throw GpuRefusal.broken(ready, e, "bytes");
    }
  }

  private record Pair(Encoding from, Encoding to) {}

  private static Set<Pair> pairs(Plan plan) {
    Set<Pair> pairs = new LinkedHashSet<>();
    for (Unit unit : plan.units()) {
      for (Job job : unit.jobs()) {
        Encoding from = job.weight().encoding();
        for (Job.Output output : job.outputs()) {
          if (output instanceof Job.Output.Tensor tensor
              && CudaTranscoder.knows(from, tensor.encoding())) {
            pairs.add(new Pair(from, tensor.encoding()));
          }
        }
      }
    }
    return pairs;
  }

  /// What is used, for the log.
  public String text() {
    return text;
  }

  /// Whether a GPU is used.
  public boolean isDevice() {
    return opened.isPresent();
  }

  /// What transcodes tiles on the GPU.
  public Optional<DeviceTranscoder> transcoder() {
    return opened.map(Opened::transcoder);
  }

  @Override
  public void close() {
    if (opened.isPresent()) {
      opened.get().transcoder().close();
      opened.get().device().close();
    }
  }
}
