package smelt.formats.source;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import org.apache.commons.compress.archivers.zip.ZipArchiveEntry;
import org.apache.commons.compress.archivers.zip.ZipFile;

/// Lists a zip without reading its files. The central directory and each local header, which is
/// what other programs go by, must tell the same.
///
/// | offset | bytes | local header, little-endian |
/// |---|---|---|
/// | 0 | 4 | `PK\3\4` |
/// | 8 | 2 | method: 0 stored, 8 deflated |
/// | 26 | 2 | bytes of the name |
/// | 28 | 2 | bytes of the extra field |
/// | 30 | | name, extra field, data |
final class ZipListing {

  private static final long MAX_HEADER_BYTES = 16L << 20;
  private static final int LOCAL_HEADER_BYTES = 30;
  private static final int LOCAL_MAGIC = 0x04034b50;
  private static final int MAX_LINK_BYTES = 4096;
  private static final long MAX_DEFLATED_BYTES = 64L << 20;
  private static final int FILE_TYPE = 0xF000;
  private static final int REGULAR = 0x8000;
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final String REMEDY = "pack the model again, without compression (zip -0 -r)";

  private final FileByteSource archive;
  private final Listing listing;

  private ZipListing(FileByteSource archive, Listing listing) {
    this.archive = archive;
    this.listing = listing;
  }

  static void list(Path path, FileByteSource archive, Listing into) throws IOException {
    try (ListingChannel channel = new ListingChannel(path, MAX_HEADER_BYTES);
        ZipFile zip = open(channel, into)) {
      ZipListing lister = new ZipListing(archive, into);
      for (ZipArchiveEntry entry : Collections.list(zip.getEntries())) {
        lister.add(entry);
      }
    }
    checkDisjoint(into);
  }

  private static ZipFile open(ListingChannel channel, Listing listing) throws IOException {
    try {
      return ZipFile.builder().setSeekableByteChannel(channel).setCharset(UTF_8).get();
    } catch (IOException | IllegalArgumentException e) {
      channel.close();
      listing.refuse(
          "", "a damaged zip: " + e.getMessage(), "a whole zip", "get the archive again");
      listing.throwIfAny();
      throw new AssertionError(e);
    }
  }

  private void add(ZipArchiveEntry entry) throws IOException {
    if (entry.isDirectory()) {
      return;
    }
    String name = entry.getName();
    int type = entry.getUnixMode() & FILE_TYPE;
    if (entry.getGeneralPurposeBit().usesEncryption()) {
      listing.refuse(name, "an encrypted file", "a plain one", REMEDY);
    } else if (!agreesWithLocalHeader(entry)) {
      listing.refuse(name, "a local header that says otherwise", "two that agree", REMEDY);
    } else if (entry.isUnixSymlink()) {
      addLink(entry);
    } else if (type != 0 && type != REGULAR) {
      listing.refuse(name, "neither a file nor a folder", "a file or a folder", REMEDY);
    } else {
      addFile(entry);
    }
  }

  private void addFile(ZipArchiveEntry entry) {
    String name = entry.getName();
    long stored = entry.getCompressedSize();
    if (entry.getMethod() == ZipArchiveEntry.STORED && stored == entry.getSize()) {
      listing.add(new Member(name, entry.getDataOffset(), stored, Member.PLAIN));
    } else if (entry.getMethod() == ZipArchiveEntry.DEFLATED && isSmallSideFile(entry)) {
      Member.Kind deflated = new Member.Kind.Deflated(entry.getSize(), entry.getCrc());
      listing.add(new Member(name, entry.getDataOffset(), stored, deflated));
    } else {
      String found = entry.getMethod() == ZipArchiveEntry.STORED ? "two sizes" : "compressed data";
      listing.refuse(name, found, "weights stored as they are, to be read in place", REMEDY);
    }
  }

  private static boolean isSmallSideFile(ZipArchiveEntry entry) {
    boolean weights = entry.getName().toLowerCase(Locale.ROOT).endsWith(".safetensors");
    return !weights
        && entry.getSize() <= MAX_DEFLATED_BYTES
        && entry.getCompressedSize() <= MAX_DEFLATED_BYTES;
  }

  private void addLink(ZipArchiveEntry entry) throws IOException {
    boolean readable =
        entry.getMethod() == ZipArchiveEntry.STORED
            && entry.getSize() <= MAX_LINK_BYTES
            && entry.getSize() <= archive.size() - entry.getDataOffset();
    if (!readable) {
      listing.refuse(entry.getName(), "a symbolic link", "a file or a folder", REMEDY);
      return;
    }
    byte[] target = new byte[Math.toIntExact(entry.getSize())];
    archive.read(entry.getDataOffset(), MemorySegment.ofArray(target));
    Member.Kind link = new Member.Kind.Link(new String(target, UTF_8));
    listing.add(new Member(entry.getName(), entry.getDataOffset(), target.length, link));
  }

  private boolean agreesWithLocalHeader(ZipArchiveEntry entry) throws IOException {
    long start = entry.getLocalHeaderOffset();
    byte[] name = entry.getRawName();
    if (start < 0 || start > archive.size() - LOCAL_HEADER_BYTES - name.length) {
      return false;
    }
    MemorySegment header = MemorySegment.ofArray(new byte[LOCAL_HEADER_BYTES + name.length]);
    archive.read(start, header);
    int nameBytes = Short.toUnsignedInt(header.get(SHORT, 26));
    int extraBytes = Short.toUnsignedInt(header.get(SHORT, 28));
    return header.get(INT, 0) == LOCAL_MAGIC
        && header.get(SHORT, 8) == entry.getMethod()
        && nameBytes == name.length
        && MemorySegment.ofArray(name).mismatch(header.asSlice(LOCAL_HEADER_BYTES)) == -1
        && entry.getDataOffset() == start + LOCAL_HEADER_BYTES + nameBytes + extraBytes;
  }

  /// Two names for the same bytes are how small archives pretend to be large.
  private static void checkDisjoint(Listing listing) {
    List<Member> sorted =
        listing.members().stream().sorted(Comparator.comparingLong(Member::offset)).toList();
    long end = 0;
    for (Member member : sorted) {
      if (member.offset() < end) {
        listing.refuse(member.name(), "data that overlaps another file's", "its own", REMEDY);
      }
      end = Math.max(end, member.offset() + member.storedBytes());
    }
  }
}
