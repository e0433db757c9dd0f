package smelt.converter.gguf;

import java.util.Optional;
import java.util.Set;
import smelt.formats.UnsupportedException;
import smelt.formats.gguf.GgmlType;

/// What the user chooses about a GGUF file.
///
/// @param linear the type of embeddings, head and the weights of linears; norms, routers and biases
///   are F32 in every file
/// @param name the model's name for people, `general.name`; empty: none is written
public record GgufOptions(GgmlType linear, Optional<String> name) {

  private static final Set<GgmlType> WRITTEN =
      Set.of(GgmlType.F32, GgmlType.F16, GgmlType.BF16, GgmlType.Q8_0);

  public GgufOptions {
    if (!canWrite(linear)) {
      throw new UnsupportedException(
          "writing GGUF in " + linear, "F32, F16, BF16 and Q8_0 can be written");
    }
  }

  /// Whether files can have a type.
  public static boolean canWrite(GgmlType type) {
    return WRITTEN.contains(type);
  }

  /// A file of one type, without a name.
  public static GgufOptions of(GgmlType linear) {
    return new GgufOptions(linear, Optional.empty());
  }
}
