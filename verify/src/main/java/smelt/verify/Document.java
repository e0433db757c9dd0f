package smelt.verify;

import java.util.Optional;

/// A text file of a checkpoint, as far as it could be read.
sealed interface Document<T> {

  /// There is no such file.
  record Absent<T>() implements Document<T> {}

  /// The file is there, but is not what it should be.
  record Broken<T>(String file, String found, String expected) implements Document<T> {}

  record Read<T>(String file, T content) implements Document<T> {}

  /// The content, where it could be read.
  default Optional<T> value() {
    return this instanceof Read<T>(String _, T content) ? Optional.of(content) : Optional.empty();
  }
}
