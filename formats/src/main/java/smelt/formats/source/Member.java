package smelt.formats.source;

/// One file of an archive, where it lies in it.
///
/// @param name as the archive spells it
/// @param offset first byte of its data in the archive
/// @param storedBytes bytes of its data in the archive
/// @param kind how the data is to be taken
record Member(String name, long offset, long storedBytes, Kind kind) {

  /// A closed set: plain bytes, deflated bytes, or a symbolic link.
  sealed interface Kind {

    record Plain() implements Kind {}

    /// Raw deflate data.
    ///
    /// @param bytes size when inflated
    /// @param crc CRC-32 of the inflated bytes
    record Deflated(long bytes, long crc) implements Kind {}

    /// A symbolic link.
    ///
    /// @param target the link's text
    record Link(String target) implements Kind {}
  }

  static final Kind PLAIN = new Kind.Plain();

  Member named(String other) {
    return new Member(other, offset, storedBytes, kind);
  }
}
