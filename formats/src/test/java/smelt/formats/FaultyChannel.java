package smelt.formats;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;

/// A file channel that fails after `room` bytes, and which reads and writes at most `step` bytes at
/// a time. Everything else goes to the real file.
public final class FaultyChannel extends FileChannel {

  private final FileChannel file;
  private final int step;
  private long room;
  private boolean forceFails;

  public FaultyChannel(FileChannel file, long room, int step) {
    this.file = file;
    this.room = room;
    this.step = step;
  }

  public FaultyChannel failingForce() {
    forceFails = true;
    return this;
  }

  @Override
  public synchronized int write(ByteBuffer from, long position) throws IOException {
    if (from.hasRemaining() && room == 0) {
      throw new IOException("No space left on device");
    }
    int count = (int) Math.min(Math.min(step, room), from.remaining());
    ByteBuffer piece = from.slice(from.position(), count);
    int done = file.write(piece, position);
    from.position(from.position() + done);
    room -= done;
    return done;
  }

  @Override
  public void force(boolean metaData) throws IOException {
    if (forceFails) {
      throw new IOException("Input/output error");
    }
    file.force(metaData);
  }

  @Override
  public long size() throws IOException {
    return file.size();
  }

  @Override
  protected void implCloseChannel() throws IOException {
    file.close();
  }

  @Override
  public int read(ByteBuffer into) {
    throw new UnsupportedOperationException();
  }

  @Override
  public long read(ByteBuffer[] into, int offset, int length) {
    throw new UnsupportedOperationException();
  }

  @Override
  public int write(ByteBuffer from) {
    throw new UnsupportedOperationException();
  }

  @Override
  public long write(ByteBuffer[] from, int offset, int length) {
    throw new UnsupportedOperationException();
  }

  @Override
  public long position() {
    throw new UnsupportedOperationException();
  }

  @Override
  public FileChannel position(long position) {
    throw new UnsupportedOperationException();
  }

  @Override
  public FileChannel truncate(long size) {
    throw new UnsupportedOperationException();
  }

  @Override
  public long transferTo(long position, long count, WritableByteChannel target) {
    throw new UnsupportedOperationException();
  }

  @Override
  public long transferFrom(ReadableByteChannel source, long position, long count) {
    throw new UnsupportedOperationException();
  }

  @Override
  public synchronized int read(ByteBuffer into, long position) throws IOException {
    if (into.hasRemaining() && room == 0) {
      throw new IOException("Input/output error");
    }
    int count = (int) Math.min(Math.min(step, room), into.remaining());
    int done = file.read(into.slice(into.position(), count), position);
    into.position(into.position() + Math.max(0, done));
    room -= Math.max(0, done);
    return done;
  }

  @Override
  public MappedByteBuffer map(MapMode mode, long position, long size) {
    throw new UnsupportedOperationException();
  }

  @Override
  public FileLock lock(long position, long size, boolean shared) {
    throw new UnsupportedOperationException();
  }

  @Override
  public FileLock tryLock(long position, long size, boolean shared) {
    throw new UnsupportedOperationException();
  }
}
