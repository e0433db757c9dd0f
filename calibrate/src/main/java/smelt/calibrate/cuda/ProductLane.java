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

  private final Arena arena = Arena.ofShared();
  private final Closing closing = new Closing();
  private final CudaMath math;
  private final MemorySegment staging;
  private final DeviceMemory x;
  private final DeviceMemory out;
  private Optional<Result> awaited = Optional.empty();

  /// Results that are on their way to `staged`, and where they belong.
  private record Result(Matrix staged, Matrix out) {}

  /// @param device stays open longer than this
  /// @param partBytes of tokens, and of results
  ProductLane(CudaDevice device, long partBytes) {
    try {
      closing.add(arena, Arena::close);
      staging = arena.allocate(2 * partBytes, ALIGNMENT);
      closing.add(new PinnedMemory(device, staging), PinnedMemory::close);
      x = closing.add(device.allocate(partBytes), DeviceMemory::close);
      out = closing.add(device.allocate(partBytes), DeviceMemory::close);
      math = closing.add(new CudaMath(device), CudaMath::close);
    } catch (RuntimeException e) {
      closing.after(e);
      throw e;
    }
  }

  /// Starts to send bytes of the host, of any kind, by way of the pinned ones.
  ///
  /// @param from no more than `stagingBytes`
  void send(MemorySegment from, DeviceMemory to, long offset) {
    finish();
    MemorySegment staged = staging.asSlice(0, from.byteSize());
    staged.copyFrom(from);
    math.send(staged, to, offset);
  }

  long stagingBytes() {
    return staging.byteSize();
  }

  /// Starts `out = x * wT`; `finish` ends it. The weight stays open until then.
  void start(Matrix tokens, DeviceWeight w, Matrix results) {
    finish();
    Matrix in = staged(0, tokens);
    copy(tokens, in);
    DeviceMatrix sent = DeviceMatrix.on(x, tokens.rows(), tokens.cols());
    DeviceMatrix product = DeviceMatrix.on(out, results.rows(), results.cols());
    Matrix back = staged(staging.byteSize() / 2, results);
    math.send(in, sent);
    math.multiplyPlain(sent, w, product);
    math.startRead(product, back);
    awaited = Optional.of(new Result(back, results));
  }

  /// Waits for what was started; results are where they belong then. After a failure they are not.
  void finish() {
    Optional<Result> done = awaited;
    awaited = Optional.empty();
    math.finish();
    done.ifPresent(result -> copy(result.staged(), result.out()));
  }

  /// Pinned memory for a matrix of the same size whose rows follow each other.
  private Matrix staged(long offset, Matrix like) {
    return new Matrix(staging, offset, like.rows(), like.cols(), like.cols());
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

  /// Nothing may be on its way.
  @Override
  public void close() {
    closing.close();
  }
}
