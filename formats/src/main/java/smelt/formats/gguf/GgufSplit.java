package smelt.formats.gguf;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.SequencedMap;

/// Which part of a model a file is. Each part is a GGUF file with its own header; the first has the
/// metadata of the model. A runtime is given the first and finds the others by their names.
///
/// | key | kind | value |
/// |---|---|---|
/// | `split.no` | U16 | number of the part, from 0 |
/// | `split.count` | U16 | number of parts |
/// | `split.tensors.count` | I32 | tensors in all parts together |
public record GgufSplit(int number, int count, int tensors) {

  static final String NUMBER = "split.no";
  static final String COUNT = "split.count";
  static final String TENSORS = "split.tensors.count";

  /// Parts that the five digits of a name, and the width of the keys, allow.
  public static final int MAX_COUNT = 0xFFFF;

  public GgufSplit {
    if (count < 1 || count > MAX_COUNT || number < 0 || number >= count || tensors < 0) {
      throw new IllegalArgumentException(
          "part " + number + " of " + count + " with " + tensors + " tensors in all");
    }
  }

  /// The name of this part's file, with parts numbered from 1.
  ///
  /// @param prefix the name without number and ending
  public String fileName(String prefix) {
    return String.format(Locale.ROOT, "%s-%05d-of-%05d.gguf", prefix, number + 1, count);
  }

  /// The entries that say so, in the order of other writers.
  public SequencedMap<String, GgufValue> metadata() {
    SequencedMap<String, GgufValue> entries = new LinkedHashMap<>();
    entries.put(NUMBER, new GgufValue.U16(number));
    entries.put(COUNT, new GgufValue.U16(count));
    entries.put(TENSORS, new GgufValue.I32(tensors));
    return entries;
  }

  /// Metadata without the entries that say so.
  public static SequencedMap<String, GgufValue> removed(SequencedMap<String, GgufValue> metadata) {
    SequencedMap<String, GgufValue> entries = new LinkedHashMap<>(metadata);
    entries.keySet().removeAll(List.of(NUMBER, COUNT, TENSORS));
    return entries;
  }

  /// A model that llama.cpp has merged says that it has no parts (`split.count` 0): it is no part
  /// of one.
  ///
  /// @throws IllegalArgumentException saying what is wrong, if only some of the keys are there, or
  ///   their kinds or values are not as described
  static Optional<GgufSplit> of(SequencedMap<String, GgufValue> metadata) {
    boolean any =
        metadata.containsKey(NUMBER)
            || metadata.containsKey(COUNT)
            || metadata.containsKey(TENSORS);
    if (!any) {
      return Optional.empty();
    }
    if (metadata.get(NUMBER) instanceof GgufValue.U16(int number)
        && metadata.get(COUNT) instanceof GgufValue.U16(int count)
        && metadata.get(TENSORS) instanceof GgufValue.I32(int tensors)) {
      if (number == 0 && count == 0) {
        return Optional.empty();
      }
      return Optional.of(new GgufSplit(number, count, tensors));
    }
    throw new IllegalArgumentException(
        "split keys that are missing or of another kind: "
            + shown(metadata, NUMBER)
            + ", "
            + shown(metadata, COUNT)
            + ", "
            + shown(metadata, TENSORS));
  }

  private static String shown(SequencedMap<String, GgufValue> metadata, String key) {
    GgufValue value = metadata.get(key);
    return key + " " + (value == null ? "absent" : "of kind " + value.kind());
  }
}
