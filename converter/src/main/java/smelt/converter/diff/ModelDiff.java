package smelt.converter.diff;

import java.util.List;

/// How two models, A and B, differ. How their tensors are spread over shards is no difference.
///
/// @param onlyInA names of tensors, sorted
/// @param onlyInB names of tensors, sorted
/// @param headers tensors in both with another type or shape
/// @param contents tensors in both whose bytes differ
/// @param config keys of `config.json` with another value
/// @param files other files that are in one only, or whose bytes differ
/// @param sameTensors number of tensors that are the same in both
public record ModelDiff(
    List<String> onlyInA,
    List<String> onlyInB,
    List<Header> headers,
    List<Content> contents,
    List<ConfigKey> config,
    List<OtherFile> files,
    long sameTensors) {

  public ModelDiff {
    onlyInA = List.copyOf(onlyInA);
    onlyInB = List.copyOf(onlyInB);
    headers = List.copyOf(headers);
    contents = List.copyOf(contents);
    config = List.copyOf(config);
    files = List.copyOf(files);
  }

  /// A tensor of another type or shape, as `F8_E4M3 [128, 256]`.
  public record Header(String name, String inA, String inB) {}

  /// A tensor with other bytes.
  ///
  /// @param element the first element that differs, in C order
  /// @param elements how many the tensor has
  public record Content(String name, long element, long elements) {}

  /// A key of the config, as a JSON pointer, and its values as JSON; `absent` where it is missing.
  public record ConfigKey(String pointer, String inA, String inB) {}

  /// A file that is not a shard, and how it differs.
  public record OtherFile(String name, Kind kind) {}

  /// How a file differs.
  public enum Kind {
    ONLY_IN_A,
    ONLY_IN_B,
    OTHER_BYTES
  }

  /// Whether there is no difference at all.
  public boolean isEmpty() {
    return onlyInA.isEmpty()
        && onlyInB.isEmpty()
        && headers.isEmpty()
        && contents.isEmpty()
        && config.isEmpty()
        && files.isEmpty();
  }
}
