package smelt.converter.plan;

import java.io.OutputStream;

/// Counts bytes and keeps none.
final class CountingStream extends OutputStream {
  private long count;

  /// Bytes so far.
  long count() {
    return count;
  }

  @Override
  public void write(int b) {
    count++;
  }

  @Override
  public void write(byte[] bytes, int offset, int length) {
    count += length;
  }
}
