package smelt.calibrate.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.NonFiniteException;
import smelt.formats.codec.Tile;

/// A stream and the device memory for one tile: copies it to the device, transcodes it, and copies
/// the result back. With two lanes one tile is copied while another is computed. Used by one thread
/// at a time.
final class CodecLane implements AutoCloseable {

  /// Threads of a block, as in `codec.cu`.
  private static final int THREADS = 256;

  /// Numbers that a thread handles at once, at most.
  private static final int VECTOR = 8;

  private static final int BLOCKS_PER_PROCESSOR = 32;

  /// Parts of the device memory begin at multiples of this.
  private static final long ALIGNMENT = 256;

  /// Bytes of the two reports: the first bad scale, the first bad weight.
  private static final long REPORTS = 2 * Long.BYTES;

  private final CudaDevice device;
  private final DeviceStream stream;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment reports;
  private DeviceMemory memory;

  /// Where the parts of a tile lie in the lane's memory.
  private record Layout(
      TileForm from,
      TileForm to,
      long codesIn,
      long scalesIn,
      long scales,
      long codesOut,
      long scalesOut,
      long bytes) {
    static Layout of(TileForm from, TileForm to) {
      long codesIn = aligned(REPORTS);
      long scalesIn = aligned(codesIn + from.codeBytes());
      long scales = aligned(scalesIn + from.scaleBytes());
      long codesOut = aligned(scales + Float.BYTES * from.scales());
      long scalesOut = aligned(codesOut + to.codeBytes());
      long bytes = aligned(scalesOut + to.scaleBytes());
      return new Layout(from, to, codesIn, scalesIn, scales, codesOut, scalesOut, bytes);
    }

    private static long aligned(long offset) {
      return Math.ceilDiv(offset, ALIGNMENT) * ALIGNMENT;
    }
  }

  CodecLane(CudaDevice device) {
    this.device = device;
    this.reports = arena.allocate(REPORTS, Long.BYTES);
    try {
      this.stream = device.stream();
    } catch (RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  /// Bytes of device memory for tiles of this size.
  static long bytes(Encoding from, Encoding to, long rows, long cols) {
    return Layout.of(TileForm.of(from, rows, cols), TileForm.of(to, rows, cols)).bytes();
  }

  /// Starts a tile; `finish` ends it. Both tiles stay as they are until then.
  void start(Tile from, Tile to) {
    Layout layout = Layout.of(TileForm.of(from), TileForm.of(to));
    require(layout.bytes());
    try {
      enqueue(layout, from, to);
    } catch (DeviceException e) {
      settle(e);
      throw e;
    }
  }

  /// Waits for what was started before a failure: it uses memory that the caller may close.
  private void settle(DeviceException failure) {
    try {
      stream.finish();
    } catch (DeviceException e) {
      failure.addSuppressed(e);
    }
  }

  private void enqueue(Layout layout, Tile from, Tile to) {
    stream.fill(memory, 0, REPORTS, (byte) -1);
    stream.upload(
        from.codes().asSlice(from.codesOffset(), layout.from().codeBytes()),
        memory,
        layout.codesIn());
    if (layout.from().scales() > 0) {
      stream.upload(
          from.scales().asSlice(from.scalesOffset(), layout.from().scaleBytes()),
          memory,
          layout.scalesIn());
    }
    compute(layout, to.encoding(), from.rows(), from.cols());
    stream.download(
        memory, layout.codesOut(), to.codes().asSlice(to.codesOffset(), layout.to().codeBytes()));
    if (layout.to().scales() > 0) {
      stream.download(
          memory,
          layout.scalesOut(),
          to.scales().asSlice(to.scalesOffset(), layout.to().scaleBytes()));
    }
    stream.download(memory, 0, reports);
  }

  private void require(long bytes) {
    if (memory == null || memory.bytes() < bytes) {
      if (memory != null) {
        memory.close();
        memory = null;
      }
      memory = device.allocate(bytes);
    }
  }

  /// Computes the tile that was started last once more, without copying it: for measurements.
  void computeAgain(Tile from, Tile to) {
    compute(Layout.of(TileForm.of(from), TileForm.of(to)), to.encoding(), from.rows(), from.cols());
  }

  private void compute(Layout layout, Encoding to, long rows, long cols) {
    TileForm from = layout.from();
    if (from.scales() > 0) {
      stream.launch(
          device.kernel(KernelImage.CODEC, "scales_" + TileForm.name(from.scaleType())),
          grid(Math.ceilDiv(from.scales(), THREADS)),
          THREADS,
          memory.address(layout.scalesIn(), from.scaleBytes()),
          from.scales(),
          memory.address(layout.scales(), Float.BYTES * from.scales()),
          memory.address(0, Long.BYTES));
    }
    DeviceKernel kernel =
        device.kernel(KernelImage.CODEC, from.codes() + "_to_" + layout.to().codes());
    if (to instanceof Encoding.Plain) {
      decode(kernel, layout, rows, cols);
    } else {
      encode(kernel, layout, rows, cols);
    }
  }

  private void decode(DeviceKernel kernel, Layout layout, long rows, long cols) {
    stream.launch(
        kernel,
        grid(Math.ceilDiv(rows * cols, THREADS * VECTOR)),
        THREADS,
        memory.address(layout.codesIn(), layout.from().codeBytes()),
        memory.address(layout.scales(), Float.BYTES * layout.from().scales()),
        layout.from().blockRows(),
        layout.from().blockCols(),
        rows,
        cols,
        memory.address(layout.codesOut(), layout.to().codeBytes()),
        memory.address(Long.BYTES, Long.BYTES));
  }

  private void encode(DeviceKernel kernel, Layout layout, long rows, long cols) {
    stream.launch(
        kernel,
        grid(layout.to().scales()),
        THREADS,
        memory.address(layout.codesIn(), layout.from().codeBytes()),
        memory.address(layout.scales(), Float.BYTES * layout.from().scales()),
        layout.from().blockRows(),
        layout.from().blockCols(),
        rows,
        cols,
        layout.to().blockRows(),
        layout.to().blockCols(),
        layout.to().powersOfTwo() ? 1 : 0,
        memory.address(layout.codesOut(), layout.to().codeBytes()),
        memory.address(layout.scalesOut(), layout.to().scaleBytes()),
        memory.address(Long.BYTES, Long.BYTES));
  }

  private DeviceStream.Grid grid(long blocks) {
    return DeviceStream.Grid.of(blocks, device.state().processors() * BLOCKS_PER_PROCESSOR);
  }

  /// Waits for the tile that was started.
  ///
  /// @param cols of that tile
  /// @throws NonFiniteException for the first scale, else the first weight, that may not be; what
  ///   was written is void then
  void finish(long cols) {
    stream.finish();
    long scale = reports.get(JAVA_LONG, 0);
    if (scale != -1) {
      throw new NonFiniteException(
          new NonFiniteException.Place.Scale(scale >>> Integer.SIZE),
          Float.intBitsToFloat((int) scale));
    }
    long weight = reports.get(JAVA_LONG, Long.BYTES);
    if (weight != -1) {
      long index = weight >>> Integer.SIZE;
      throw new NonFiniteException(
          new NonFiniteException.Place.Weight(index / cols, index % cols),
          Float.intBitsToFloat((int) weight));
    }
  }

  @Override
  public void close() {
    try (arena;
        stream) {
      if (memory != null) {
        memory.close();
      }
    }
  }
}
