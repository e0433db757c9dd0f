package smelt.formats.source;

import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.SortedMap;
import java.util.zip.CRC32;
import java.util.zip.Inflater;
import java.util.zip.InflaterInputStream;
import java.util.zip.ZipException;
import smelt.formats.BadInputException;

/// An archive whose files are read where they lie in it. Nothing is unpacked, except for small
/// deflated side files, which are inflated in memory when they are opened.
final class ArchiveSource implements ModelSource {

  private final Path archive;
  private final FileStamp stamp;
  private final SortedMap<String, Member> files;

  private ArchiveSource(Path archive, FileStamp stamp, SortedMap<String, Member> files) {
    this.archive = archive;
    this.stamp = stamp;
    this.files = files;
  }

  static ArchiveSource openTar(Path archive) throws IOException {
    FileStamp stamp = FileStamp.of(archive);
    Listing listing = new Listing(archive.toString(), stamp.size());
    TarListing.list(archive, listing);
    return new ArchiveSource(archive, stamp, MemberNames.resolve(listing));
  }

  static ArchiveSource openZip(Path archive) throws IOException {
    FileStamp stamp = FileStamp.of(archive);
    Listing listing = new Listing(archive.toString(), stamp.size());
    try (FileByteSource bytes =
        FileByteSource.open(archive.toString(), archive, stamp, 0, stamp.size())) {
      ZipListing.list(archive, bytes, listing);
    }
    return new ArchiveSource(archive, stamp, MemberNames.resolve(listing));
  }

  @Override
  public String location() {
    return archive.toString();
  }

  @Override
  public List<String> names() {
    return List.copyOf(files.keySet());
  }

  @Override
  public ByteSource open(String name) throws IOException {
    Member member = files.get(name);
    if (member == null) {
      throw new NoSuchFileException(archive + ": " + name);
    }
    FileByteSource stored =
        FileByteSource.open(name, archive, stamp, member.offset(), member.storedBytes());
    return switch (member.kind()) {
      case Member.Kind.Plain _ -> stored;
      case Member.Kind.Deflated deflated -> inflated(stored, deflated);
      case Member.Kind.Link _ -> throw new IllegalStateException(name + " is a link");
    };
  }

  private static ByteSource inflated(FileByteSource stored, Member.Kind.Deflated kind)
      throws IOException {
    try {
      byte[] deflated = new byte[Math.toIntExact(stored.size())];
      stored.read(0, MemorySegment.ofArray(deflated));
      byte[] bytes = inflate(stored.name(), deflated, Math.toIntExact(kind.bytes()));
      CRC32 crc = new CRC32();
      crc.update(bytes);
      if (bytes.length != kind.bytes() || crc.getValue() != kind.crc()) {
        throw damaged(stored.name(), "data that does not match its size and checksum");
      }
      return new MemoryByteSource(stored, bytes);
    } catch (IOException | RuntimeException e) {
      stored.close();
      throw e;
    }
  }

  /// At most one byte more than `size`, whatever the data would inflate to.
  private static byte[] inflate(String name, byte[] deflated, int size) throws IOException {
    Inflater inflater = new Inflater(true);
    try (InputStream in = new InflaterInputStream(new ByteArrayInputStream(deflated), inflater)) {
      return in.readNBytes(size + 1);
    } catch (ZipException | EOFException e) {
      throw damaged(name, "damaged deflate data: " + e.getMessage());
    } finally {
      inflater.end();
    }
  }

  private static BadInputException damaged(String name, String found) {
    return new BadInputException(name, found, "an intact entry", "get the archive again");
  }

  @Override
  public String stamp(String name) throws IOException {
    if (!files.containsKey(name)) {
      throw new NoSuchFileException(archive + ": " + name);
    }
    return stamp.text();
  }

  @Override
  public byte[] readSmall(String name, long limit) throws IOException {
    try (ByteSource file = open(name)) {
      return WholeFile.read(file, limit);
    }
  }

  @Override
  public void close() {}
}
