package smelt.formats.source;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.Path;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarConstants;
import org.apache.commons.compress.archivers.tar.TarFile;

/// Lists a plain tar (ustar, pax or GNU) without reading its files.
final class TarListing {

  private static final long MAX_HEADER_BYTES = 64L << 20;
  private static final String REMEDY = "pack the model again with plain files and folders";

  private TarListing() {}

  static void list(Path archive, Listing into) throws IOException {
    try (ListingChannel channel = new ListingChannel(archive, MAX_HEADER_BYTES);
        TarFile tar = open(channel, into)) {
      for (TarArchiveEntry entry : tar.getEntries()) {
        add(entry, into);
      }
    }
  }

  private static TarFile open(ListingChannel channel, Listing listing) throws IOException {
    try {
      return new TarFile(channel, 10_240, 512, UTF_8.name(), false);
    } catch (IOException | IllegalArgumentException e) {
      channel.close();
      listing.refuse(
          "", "a damaged tar: " + e.getMessage(), "a whole tar", "get the archive again");
      listing.throwIfAny();
      throw new AssertionError(e);
    }
  }

  private static void add(TarArchiveEntry entry, Listing into) {
    byte flag = entry.getLinkFlag();
    boolean plain =
        flag == TarConstants.LF_NORMAL
            || flag == TarConstants.LF_OLDNORM
            || flag == TarConstants.LF_CONTIG;
    if (entry.isSymbolicLink()) {
      Member.Kind link = new Member.Kind.Link(entry.getLinkName());
      into.add(new Member(entry.getName(), entry.getDataOffset(), 0, link));
    } else if (entry.isSparse()) {
      into.refuse(entry.getName(), "a sparse file", "files whose bytes are all there", REMEDY);
    } else if (plain && !entry.getName().endsWith("/")) {
      into.add(new Member(entry.getName(), entry.getDataOffset(), entry.getSize(), Member.PLAIN));
    } else if (!entry.isDirectory() || entry.getSize() != 0) {
      into.refuse(entry.getName(), kind(entry), "a file or a folder", REMEDY);
    }
  }

  private static String kind(TarArchiveEntry entry) {
    if (entry.isLink()) {
      return "a hard link to '" + entry.getLinkName() + "'";
    }
    if (entry.isCharacterDevice() || entry.isBlockDevice()) {
      return "a device";
    }
    if (entry.isFIFO()) {
      return "a pipe";
    }
    return entry.isDirectory() ? "a folder with data" : "an entry of type " + entry.getLinkFlag();
  }
}
