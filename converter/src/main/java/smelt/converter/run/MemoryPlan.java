package smelt.converter.run;

import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.function.IntToLongFunction;
import smelt.converter.ByteSize;
import smelt.converter.RefusedException;
import smelt.converter.plan.Job;
import smelt.converter.plan.Plan;
import smelt.converter.plan.ShardLayout;
import smelt.converter.plan.TargetPlan;
import smelt.converter.plan.Unit;
import smelt.converter.recipe.Calibrated;
import smelt.converter.target.Target;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Transcoder;

/// How much anonymous memory a run takes at most, known before it starts. It does not depend on the
/// size of the model, except for the plan itself.
///
/// @param threads workers
/// @param tileBytes aim for the bytes of a tile
/// @param buffers sizes of one worker's buffers
/// @param program bytes of the Java machine: code, threads, heap without the plan
/// @param planHeap bytes of the plan on the heap
/// @param tuning bytes that a calibration takes, beside the workers' buffers
public record MemoryPlan(
    int threads, long tileBytes, Buffers buffers, long program, long planHeap, long tuning) {

  /// Sizes in bytes of the buffers of one worker.
  ///
  /// @param numbers of tiles that a calibration has a say in
  record Buffers(
      long codesIn, long scalesIn, long codesOut, long scalesOut, long scratch, long numbers) {

    Buffers(long codesIn, long scalesIn, long codesOut, long scalesOut, long scratch) {
      this(codesIn, scalesIn, codesOut, scalesOut, scratch, 0);
    }

    long total() {
      return codesIn + scalesIn + codesOut + scalesOut + scratch + numbers;
    }

    Buffers max(Buffers other) {
      return new Buffers(
          Math.max(codesIn, other.codesIn),
          Math.max(scalesIn, other.scalesIn),
          Math.max(codesOut, other.codesOut),
          Math.max(scalesOut, other.scalesOut),
          Math.max(scratch, other.scratch),
          Math.max(numbers, other.numbers));
    }
  }

  private static final long[] TILE_BYTES = {4L << 20, 2L << 20, 1L << 20, 1L << 19};

  /// What the Java machine takes with an empty plan, started with
  /// `converter/src/main/jvm/work.args`: measured between 73 and 92 MiB.
  static final long PROGRAM_BYTES = 98L << 20;

  /// What the code of several types of blocks takes besides: measured up to 7 MiB.
  static final long BLOCKS_BYTES = 12L << 20;

  /// What a tensor of the source or of a target takes on the heap: half as much again as is live,
  /// see `HeapThrift`. Measured with 79,000 tensors on a busy machine: up to 2,330.
  static final long BYTES_PER_TENSOR = 2_500;

  /// What a byte of a GGUF header takes on the heap: measured with 150,000 tokens and as many
  /// merges, up to 13.
  static final long HEAP_PER_HEADER_BYTE = 14;

  /// What NVIDIA's driver and JCuda take of the host's memory, beside buffers: an allowance, not
  /// measured.
  static final long DRIVER_BYTES = 1L << 30;

  /// Parts of a tile begin at multiples of this in a device's memory, and there are six.
  private static final long DEVICE_PARTS = 6 * 256;

  /// Bytes of the buffer through which a worker reads a finished shard back.
  static final long SEAL_BYTES = 1L << 20;

  /// Memory of a run with the largest tiles that fit.
  ///
  /// @param budget bytes that the run may take; empty for no limit
  /// @throws RefusedException if even the smallest tiles do not fit
  public static MemoryPlan of(Plan plan, int threads, OptionalLong budget) {
    return of(plan, threads, budget, _ -> 0);
  }

  /// The same with a calibration.
  ///
  /// @param tuning bytes that it takes with a number of threads
  public static MemoryPlan of(
      Plan plan, int threads, OptionalLong budget, IntToLongFunction tuning) {
    MemoryPlan smallest = null;
    for (long tileBytes : TILE_BYTES) {
      smallest = of(plan, threads, tileBytes, tuning);
      if (budget.isEmpty() || smallest.peak() <= budget.getAsLong()) {
        return smallest;
      }
    }
    MemoryPlan single = of(plan, 1, TILE_BYTES[TILE_BYTES.length - 1], tuning);
    throw new RefusedException(
        "--memory " + ByteSize.format(budget.getAsLong()),
        "a run with " + threads + " threads that takes up to " + ByteSize.format(smallest.peak()),
        "at most " + ByteSize.format(budget.getAsLong()),
        "give at least "
            + ByteSize.format(smallest.peak())
            + ", or --threads 1 and "
            + ByteSize.format(single.peak()));
  }

  private static MemoryPlan of(Plan plan, int threads, long tileBytes, IntToLongFunction tuning) {
    Buffers buffers = new Buffers(0, 0, 0, 0, 0);
    long tensors = 0;
    for (Unit unit : plan.units()) {
      for (Job job : unit.jobs()) {
        buffers = buffers.max(buffers(job, tileBytes));
        tensors += 1;
        for (Job.Output output : job.outputs()) {
          buffers = buffers.max(tuned(plan, job, output, tileBytes));
          tensors += records(plan, output);
        }
      }
    }
    long heap = tensors * BYTES_PER_TENSOR + metadataHeap(plan);
    return new MemoryPlan(
        threads, tileBytes, buffers, programBytes(plan), heap, tuning.applyAsLong(threads));
  }

  private static long programBytes(Plan plan) {
    boolean blocks =
        plan.targets().stream()
            .anyMatch(target -> target.spec().target().kind() == Target.Kind.GGUF);
    return blocks ? PROGRAM_BYTES + BLOCKS_BYTES : PROGRAM_BYTES;
  }

  /// What the metadata of GGUF files takes on the heap, where each token is an object.
  private static long metadataHeap(Plan plan) {
    long headers = 0;
    for (TargetPlan target : plan.targets()) {
      for (TargetPlan.Shard shard : target.shards()) {
        if (shard.layout() instanceof ShardLayout.Gguf gguf) {
          headers += gguf.layout().headerBytes();
        }
      }
    }
    return HEAP_PER_HEADER_BYTE * headers;
  }

  /// How many tensors an output counts for. Codes and their scales count as one, except where each
  /// is a file of its own, with a path and a digest.
  private static int records(Plan plan, Job.Output output) {
    int tensors = output.tensors().size();
    boolean files =
        plan.targets().get(output.target()).shards().stream()
            .anyMatch(shard -> shard.layout() instanceof ShardLayout.Tree);
    return files ? tensors : Math.ceilDiv(tensors, 2);
  }

  private static Buffers buffers(Job job, long tileBytes) {
    TileShape tile = TileShape.of(job, tileBytes);
    Encoding from = job.weight().encoding();
    Buffers sizes =
        new Buffers(
            from.codeBytes(tile.tileRows() * tile.cols()),
            scaleBytes(
                from, tile, job.weight().scale().map(SourceTensor::type).orElse(ElementType.F32)),
            0,
            0,
            0);
    for (Job.Output output : job.outputs()) {
      sizes =
          sizes.max(
              switch (output) {
                case Job.Output.Tensor tensor -> buffers(from, tensor.encoding(), tile);
                case Job.Output.Experts experts -> ExpertWriter.buffers(job, experts, tile);
                case Job.Output.Blocks blocks -> BlockWriter.buffers(job, blocks, tile);
              });
    }
    return sizes;
  }

  private static Buffers tuned(Plan plan, Job job, Job.Output output, long tileBytes) {
    TileShape tile = TileShape.of(job, tileBytes);
    Calibrated calibrated = plan.targets().get(output.target()).spec().calibrated();
    long numbers = TunedRows.bytes(calibrated, job, output, tile);
    if (numbers == 0) {
      return new Buffers(0, 0, 0, 0, 0);
    }
    Encoding from = job.weight().encoding();
    long scratch = TunedRows.scratchBytes(from, tile.cols());
    if (output instanceof Job.Output.Tensor tensor) {
      Encoding f32 = new Encoding.Plain(ElementType.F32);
      scratch = Math.max(scratch, Transcoder.scratchBytes(f32, tensor.encoding(), tile.cols()));
    }
    return new Buffers(0, 0, 0, 0, scratch, numbers);
  }

  private static Buffers buffers(Encoding from, Encoding to, TileShape tile) {
    return new Buffers(
        0,
        0,
        to.codeBytes(tile.tileRows() * tile.cols()),
        scaleBytes(to, tile, to.scales().orElse(ElementType.F32)),
        Transcoder.scratchBytes(from, to, tile.cols()));
  }

  private static long scaleBytes(Encoding encoding, TileShape tile, ElementType type) {
    return encoding instanceof Encoding.Plain
        ? 0
        : TileShape.scaleRow(encoding, tile.tileRows())
            * TileShape.scaleRowBytes(encoding, tile.cols(), type);
  }

  /// Bytes at most.
  public long peak() {
    return program + planHeap + tuning + threads * (buffers.total() + SEAL_BYTES);
  }

  /// Bytes at most in a run that uses a GPU.
  public long peakWithDriver() {
    return peak() + DRIVER_BYTES;
  }

  /// Bytes of a GPU's memory that a tile takes at most: codes and scales as they come and go, and
  /// scales in F32.
  public long deviceTileBytes() {
    return buffers.codesIn()
        + 3 * buffers.scalesIn()
        + buffers.codesOut()
        + buffers.scalesOut()
        + DEVICE_PARTS;
  }

  /// The parts, for reports.
  public Map<String, Object> json() {
    TreeMap<String, Object> json = new TreeMap<>();
    json.put("threads", threads);
    json.put("tile_bytes", tileBytes);
    json.put("worker_bytes", buffers.total() + SEAL_BYTES);
    json.put("program_bytes", program);
    json.put("plan_bytes", planHeap);
    if (tuning > 0) {
      json.put("tuning_bytes", tuning);
    }
    json.put("peak_bytes", peak());
    return json;
  }
}
