package smelt.calibrate.model;

import java.util.Optional;

/// How a layer is run.
///
/// @param forced experts that are prescribed for some of the tokens
/// @param observer watches what goes into the layer's linears
public record LayerOptions(Activations activations, Optional<Forced> forced, Observer observer) {

  /// As the model is defined.
  public static final LayerOptions PLAIN = new LayerOptions(Activations.NONE, Optional.empty());

  /// Unobserved.
  public LayerOptions(Activations activations, Optional<Forced> forced) {
    this(activations, forced, Observer.NONE);
  }

  /// As the model is defined, observed.
  public static LayerOptions observed(Observer observer) {
    return new LayerOptions(Activations.NONE, Optional.empty(), observer);
  }

  /// Whether anyone watches. Where nobody does, nothing is prepared for it.
  boolean isObserved() {
    return !observer.equals(Observer.NONE);
  }
}
