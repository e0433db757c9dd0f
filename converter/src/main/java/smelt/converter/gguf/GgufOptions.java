package smelt.converter.gguf;

import java.util.Optional;
import smelt.formats.gguf.GgmlType;

/// What the user chooses about a GGUF file.
///
/// @param types the types of embeddings, head and the weights of linears
/// @param name the model's name for people, `general.name`; empty: none is written
/// @param latent the form of `kv_b_proj`, for models that have one
public record GgufOptions(GgufTypes types, Optional<String> name, LatentForm latent) {

  /// A file of one type, without a name, with `kv_b_proj` in two.
  public static GgufOptions of(GgmlType linear) {
    return new GgufOptions(GgufTypes.of(linear), Optional.empty(), LatentForm.SPLIT);
  }

  /// The same with `kv_b_proj` in this form.
  public GgufOptions with(LatentForm form) {
    return new GgufOptions(types, name, form);
  }
}
