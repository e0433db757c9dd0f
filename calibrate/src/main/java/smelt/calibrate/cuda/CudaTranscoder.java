package smelt.calibrate.cuda;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import smelt.formats.codec.DeviceTranscoder;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;

/// The twin of [Transcoder] on a GPU. A tile takes one of some lanes, each a stream with its own
/// memory, so that with two threads or more tiles are read, copied and computed at the same time.
public final class CudaTranscoder implements DeviceTranscoder {

  /// An index in a report of what is not finite has 32 bits.
  private static final long MOST_NUMBERS = 1L << 32;

  private final CudaDevice device;
  private final List<CodecLane> lanes = new ArrayList<>();
  private final BlockingQueue<CodecLane> free = new LinkedBlockingQueue<>();

  /// @param device stays open until this is closed, and longer
  /// @param lanes tiles that are worked on at the same time, at least 1
  public CudaTranscoder(CudaDevice device, int lanes) {
    this.device = device;
    try {
      for (int i = 0; i < lanes; i++) {
        this.lanes.add(new CodecLane(device));
      }
    } catch (RuntimeException e) {
      close();
      throw e;
    }
    free.addAll(this.lanes);
  }

  @Override
  public String name() {
    return "cuda (" + device.state().text() + ")";
  }

  /// Bytes of device memory that one lane takes for tiles of this size.
  public static long laneBytes(Encoding from, Encoding to, long rows, long cols) {
    return CodecLane.bytes(from, to, rows, cols);
  }

  @Override
  public boolean supports(Encoding from, Encoding to) {
    return knows(from, to);
  }

  /// As `supports`, without a device.
  public static boolean knows(Encoding from, Encoding to) {
    return TileForm.isKnown(from)
        && TileForm.isKnown(to)
        && Transcoder.supports(from, to)
        && !Transcoder.copies(from, to);
  }

  @Override
  public void transcode(Tile from, Tile to) {
    requireFit(from, to);
    CodecLane lane = take();
    try {
      lane.start(from, to);
      lane.finish(from.cols());
    } finally {
      free.add(lane);
    }
  }

  private void requireFit(Tile from, Tile to) {
    boolean sized = from.rows() == to.rows() && from.cols() == to.cols();
    if (!sized || !supports(from.encoding(), to.encoding())) {
      throw new IllegalArgumentException(
          from.encoding() + " of " + from.rows() + " x " + from.cols() + " to " + to.encoding());
    }
    long numbers = Math.multiplyExact(from.rows(), from.cols());
    if (numbers == 0 || numbers >= MOST_NUMBERS) {
      throw new IllegalArgumentException("a tile of " + numbers + " numbers");
    }
  }

  /// Waits for a lane. An interrupt is kept for whoever looks for it: tiles are short.
  private CodecLane take() {
    boolean interrupted = false;
    try {
      while (true) {
        try {
          return free.take();
        } catch (InterruptedException _) {
          interrupted = true;
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  @Override
  public Pinned pin(MemorySegment memory) {
    return new PinnedMemory(device, memory);
  }

  @Override
  public void close() {
    lanes.forEach(CodecLane::close);
    lanes.clear();
  }
}
