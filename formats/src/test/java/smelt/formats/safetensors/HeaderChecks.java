package smelt.formats.safetensors;

import java.util.HashSet;
import java.util.Set;

/// What holds for every header that the reader lets pass, told apart from how the reader finds out.
final class HeaderChecks {

  private HeaderChecks() {}

  /// @throws IllegalStateException if the header does not describe a file of this size
  static void check(SafetensorsHeader header, long fileSize) {
    require(header.fileSize() == fileSize, "size");
    long next = header.dataStart();
    Set<String> names = new HashSet<>();
    for (TensorEntry tensor : header.tensors()) {
      require(header.offset(tensor) == next, "every byte belongs to one tensor");
      require(names.add(tensor.name()), "names are distinct");
      require(!tensor.name().isEmpty(), "names are not empty");
      require(tensor.shape().bytes(tensor.type()) == tensor.bytes(), "shape and bytes agree");
      next += tensor.bytes();
    }
    require(next == fileSize, "the last tensor ends with the file");
  }

  private static void require(boolean holds, String what) {
    if (!holds) {
      throw new IllegalStateException("does not hold: " + what);
    }
  }
}
