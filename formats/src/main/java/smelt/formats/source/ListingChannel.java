package smelt.formats.source;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import smelt.formats.BadInputException;

/// An archive as its lister sees it: read-only, and with a bound on how much may be read, so that
/// an archive made of nothing but headers, or of one endless name, cannot fill the memory.
final class ListingChannel implements SeekableByteChannel {

  private final FileChannel file;
  private final Path path;
  private final long limit;
  private long bytesRead;

  /// @param limit most bytes that listing may read
  ListingChannel(Path path, long limit) throws IOException {
    this.file = FileChannel.open(path, StandardOpenOption.READ);
    this.path = path;
    this.limit = limit;
  }

  @Override
  public int read(ByteBuffer into) throws IOException {
    int count = file.read(into);
    bytesRead += Math.max(0, count);
    if (bytesRead > limit) {
      throw new BadInputException(
          path.toString(),
          "more than " + limit + " bytes of archive headers",
          "the headers of at most " + Listing.MAX_MEMBERS + " files",
          "name an archive that holds one model");
    }
    return count;
  }

  @Override
  public int write(ByteBuffer from) {
    throw new UnsupportedOperationException();
  }

  @Override
  public long position() throws IOException {
    return file.position();
  }

  @Override
  public SeekableByteChannel position(long position) throws IOException {
    file.position(position);
    return this;
  }

  @Override
  public long size() throws IOException {
    return file.size();
  }

  @Override
  public SeekableByteChannel truncate(long size) {
    throw new UnsupportedOperationException();
  }

  @Override
  public boolean isOpen() {
    return file.isOpen();
  }

  @Override
  public void close() throws IOException {
    file.close();
  }
}
