package smelt.converter.gguf;

import java.util.Optional;
import smelt.formats.gguf.GgmlType;

/// What the user chooses about a GGUF file.
///
/// @param types the types of embeddings, head and the weights of linears
/// @param name the model's name for people, `general.name`; empty: none is written
public record GgufOptions(GgufTypes types, Optional<String> name) {

  /// A file of one type, without a name.
  public static GgufOptions of(GgmlType linear) {
    return new GgufOptions(GgufTypes.of(linear), Optional.empty());
  }
}
