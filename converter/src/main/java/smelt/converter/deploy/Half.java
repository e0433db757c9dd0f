package smelt.converter.deploy;

import java.util.List;
import java.util.Optional;
import smelt.formats.checkpoint.TensorRole;

/// The tensors of one folder.
///
/// @param path of the folder from the `deploy/` folder; empty: the user's own, the conversion's
///   source
public record Half(String path, List<Stored> tensors) {

  /// @param role empty for what is made of no weight
  public record Stored(String tensor, Optional<TensorRole> role, long bytes) {}

  public Half {
    tensors = List.copyOf(tensors);
  }
}
