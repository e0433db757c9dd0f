package smelt.calibrate.model;

import java.util.Optional;

/// How a layer is run.
///
/// @param forced experts that are prescribed for some of the tokens
public record LayerOptions(Activations activations, Optional<Forced> forced) {

  /// As the model is defined.
  public static final LayerOptions PLAIN = new LayerOptions(Activations.NONE, Optional.empty());
}
