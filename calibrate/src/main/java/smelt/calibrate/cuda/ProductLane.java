package smelt.calibrate.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import smelt.calibrate.math.Matrix;

/// A stream with pinned memory of the host and memory of the device for some tokens and their
/// results. With two lanes the transfers of one go on while the other computes, and while the host
/// copies. Used by one thread at a time.
final class ProductLane implements AutoCloseable {

  private static final long ALIGNMENT = 64;

  private final CudaDevice device;
  private final CudaMath math;
  private Optional<Memory> memory = Optional.empty();
  private Optional<Result> awaited = Optional.empty();

  /// What a lane has for one part.
  ///
  /// @param staging of the host, pinned: tokens first, then results
  private record Memory(
      Arena arena, MemorySegment staging, PinnedMemory pinned, DeviceMemory x, DeviceMemory out) {

    static Memory of(CudaDevice device, long partBytes) {
      Arena arena = Arena.ofShared();
      try {
        MemorySegment staging = arena.allocate(2 * partBytes, ALIGNMENT);
        return on(device, arena, staging, new PinnedMemory(device, staging), partBytes);
      } catch (RuntimeException e) {
        arena.close();
        throw e;
      }
    }

    private static Memory on(
        CudaDevice device,
        Arena arena,
        MemorySegment staging,
        PinnedMemory pinned,
        long partBytes) {
      try {
        DeviceMemory x = device.allocate(partBytes);
        try {
          return new Memory(arena, staging, pinned, x, device.allocate(partBytes));
        } catch (RuntimeException e) {
          x.close();
          throw e;
        }
      } catch (RuntimeException e) {
        pinned.close();
        throw e;
      }
    }

    void close() {
      try (arena;
          pinned;
          x) {
        out.close();
      }
    }
  }

  /// Results that are on their way to `staged`, and where they belong.
  private record Result(Matrix staged, Matrix out) {}

  /// @param device stays open longer than this
  ProductLane(CudaDevice device) {
    this.device = device;
    this.math = new CudaMath(device);
  }

  CudaMath math() {
    return math;
  }

  /// Makes room for tokens, and as much for results.
  void require(long partBytes) {
    if (memory.isPresent() && memory.get().x().bytes() >= partBytes) {
      return;
    }
    finish();
    Optional<Memory> before = memory;
    memory = Optional.empty();
    before.ifPresent(Memory::close);
    memory = Optional.of(Memory.of(device, partBytes));
  }

  /// Starts to send bytes of the host, of any kind, by way of the pinned ones.
  ///
  /// @param from no more than `stagingBytes`
  void send(MemorySegment from, DeviceMemory to, long offset) {
    finish();
    MemorySegment staged = memory.orElseThrow().staging().asSlice(0, from.byteSize());
    staged.copyFrom(from);
    math.send(staged, to, offset);
  }

  long stagingBytes() {
    return memory.orElseThrow().staging().byteSize();
  }

  /// Starts `out = x * wT`; `finish` ends it. The weight stays open until then.
  void start(Matrix x, DeviceWeight w, Matrix out) {
    finish();
    Memory own = memory.orElseThrow();
    Matrix tokens = staged(own, 0, x);
    copy(x, tokens);
    DeviceMatrix sent = new DeviceMatrix(own.x(), x.rows(), x.cols());
    DeviceMatrix product = new DeviceMatrix(own.out(), out.rows(), out.cols());
    Matrix results = staged(own, own.staging().byteSize() / 2, out);
    math.send(tokens, sent);
    math.multiplyPlain(sent, w, product);
    math.startRead(product, results);
    awaited = Optional.of(new Result(results, out));
  }

  /// Waits for what was started; results are where they belong then.
  void finish() {
    Optional<Result> done = awaited;
    awaited = Optional.empty();
    math.finish();
    done.ifPresent(result -> copy(result.staged(), result.out()));
  }

  /// Pinned memory for a matrix of the same size whose rows follow each other.
  private static Matrix staged(Memory memory, long offset, Matrix like) {
    return new Matrix(memory.staging(), offset, like.rows(), like.cols(), like.cols());
  }

  private static void copy(Matrix from, Matrix to) {
    if (from.stride() == from.cols() && to.stride() == to.cols()) {
      long bytes = Matrix.bytes(from.rows(), from.cols());
      MemorySegment.copy(from.data(), from.offset(), to.data(), to.offset(), bytes);
      return;
    }
    for (long row = 0; row < from.rows(); row++) {
      MemorySegment.copy(
          from.data(), from.at(row, 0), to.data(), to.at(row, 0), Float.BYTES * from.cols());
    }
  }

  @Override
  public void close() {
    try {
      math.close();
    } finally {
      memory.ifPresent(Memory::close);
    }
  }
}
