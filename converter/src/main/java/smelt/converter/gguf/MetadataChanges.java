package smelt.converter.gguf;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.SequencedMap;
import java.util.SortedSet;
import java.util.TreeSet;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.gguf.GgufParts;
import smelt.formats.gguf.GgufValue;
import smelt.formats.source.ModelSource;

/// What the metadata of GGUF files says otherwise than the model they were made from: keys of the
/// architecture and of the tokenizer. Those of `general`, which describe the file, are not
/// compared, but for the name of the architecture. Numbers are equal when their values are,
/// whatever their kinds.
final class MetadataChanges {

  private static final String TOKENIZER = "tokenizer.";
  private static final int LONGEST = 60;

  private MetadataChanges() {}

  /// Each change in words, such as `deepseek2.rope.freq_base: 10000.0 -> 1000.0`.
  ///
  /// @param options the form that the files have
  static List<String> of(
      GgufParts parts,
      Checkpoint model,
      ModelSource source,
      GgufOptions options,
      GgufMapping mapping)
      throws IOException {
    SequencedMap<String, GgufValue> expected =
        GgufMetadata.of(model, source, options, mapping, new ArrayList<>());
    SequencedMap<String, GgufValue> found = parts.metadata();
    String architecture = GroupedMetadata.name(model.architecture());
    SortedSet<String> keys = new TreeSet<>(expected.keySet());
    keys.addAll(found.keySet());
    List<String> changes = new ArrayList<>();
    for (String key : keys) {
      boolean matters =
          key.startsWith(architecture + ".")
              || key.startsWith(TOKENIZER)
              || key.equals("general.architecture");
      if (matters) {
        change(Optional.ofNullable(expected.get(key)), Optional.ofNullable(found.get(key)))
            .ifPresent(change -> changes.add(key + ": " + change));
      }
    }
    return changes;
  }

  private static Optional<String> change(Optional<GgufValue> before, Optional<GgufValue> after) {
    if (before.isPresent() && after.isPresent()) {
      if (before.get() instanceof GgufValue.Array a && after.get() instanceof GgufValue.Array b) {
        return change(a, b);
      }
      if (same(before.get(), after.get())) {
        return Optional.empty();
      }
    }
    return Optional.of(text(before) + " -> " + text(after));
  }

  private static Optional<String> change(GgufValue.Array a, GgufValue.Array b) {
    if (a.values().size() != b.values().size()) {
      return Optional.of(a.values().size() + " values -> " + b.values().size() + " values");
    }
    for (int i = 0; i < a.values().size(); i++) {
      if (!same(a.values().get(i), b.values().get(i))) {
        return Optional.of(
            "value "
                + i
                + ": "
                + text(Optional.of(a.values().get(i)))
                + " -> "
                + text(Optional.of(b.values().get(i))));
      }
    }
    return Optional.empty();
  }

  private static boolean same(GgufValue a, GgufValue b) {
    OptionalDouble x = number(a);
    OptionalDouble y = number(b);
    return x.isPresent() && y.isPresent()
        ? Double.compare(x.getAsDouble(), y.getAsDouble()) == 0
        : a.equals(b);
  }

  private static OptionalDouble number(GgufValue value) {
    return switch (value) {
      case GgufValue.U8(int v) -> OptionalDouble.of(v);
      case GgufValue.I8(byte v) -> OptionalDouble.of(v);
      case GgufValue.U16(int v) -> OptionalDouble.of(v);
      case GgufValue.I16(short v) -> OptionalDouble.of(v);
      case GgufValue.U32(long v) -> OptionalDouble.of((double) v);
      case GgufValue.I32(int v) -> OptionalDouble.of(v);
      case GgufValue.U64(long v) -> OptionalDouble.of((double) v);
      case GgufValue.I64(long v) -> OptionalDouble.of((double) v);
      case GgufValue.F32(float v) -> OptionalDouble.of(v);
      case GgufValue.F64(double v) -> OptionalDouble.of(v);
      case GgufValue.Bool _, GgufValue.Text _, GgufValue.Array _ -> OptionalDouble.empty();
    };
  }

  private static String text(Optional<GgufValue> value) {
    return value.map(v -> v.shown(LONGEST)).orElse("absent");
  }
}
