package smelt.formats.codec;

import java.lang.foreign.MemorySegment;

/// Does the work of [Transcoder] on another processor: the same bytes, the same refusals. Any
/// thread may use it.
public interface DeviceTranscoder extends AutoCloseable {

  /// Name for the log.
  String name();

  /// Whether tiles of `from` become tiles of `to` here. What is copied as it is never does.
  boolean supports(Encoding from, Encoding to);

  /// As [Transcoder#transcode], for tiles in native memory that have rows and columns.
  void transcode(Tile from, Tile to);

  /// Memory that stays where it is, so that the device reads and writes it by itself.
  interface Pinned extends AutoCloseable {
    @Override
    void close();
  }

  /// Makes transfers from and to some native memory fast, until the result is closed. The memory
  /// must live longer than that.
  Pinned pin(MemorySegment memory);

  @Override
  void close();
}
