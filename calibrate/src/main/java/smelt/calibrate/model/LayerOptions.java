package smelt.calibrate.model;

import java.util.Optional;

/// How a layer is run.
///
/// @param forced experts that are prescribed for some of the tokens
/// @param observer watches what goes into the layer's linears
/// @param rounding how weights are rounded before they are multiplied with
public record LayerOptions(
    Activations activations, Optional<Forced> forced, Observer observer, WeightRounding rounding) {

  /// As the model is defined.
  public static final LayerOptions PLAIN = new LayerOptions(Activations.NONE, Optional.empty());

  /// With weights as they are.
  public LayerOptions(Activations activations, Optional<Forced> forced, Observer observer) {
    this(activations, forced, observer, WeightRounding.NONE);
  }

  /// Unobserved.
  public LayerOptions(Activations activations, Optional<Forced> forced) {
    this(activations, forced, Observer.NONE);
  }

  /// As the model is defined, observed.
  public static LayerOptions observed(Observer observer) {
    return new LayerOptions(Activations.NONE, Optional.empty(), observer);
  }

  /// As the model is defined, but with rounded weights.
  public static LayerOptions rounded(WeightRounding rounding) {
    return new LayerOptions(Activations.NONE, Optional.empty(), Observer.NONE, rounding);
  }

  /// The same for a product that nobody is to see.
  LayerOptions unobserved() {
    return new LayerOptions(activations, forced, Observer.NONE, rounding);
  }

  /// Whether anyone watches. Where nobody does, nothing is prepared for it.
  boolean isObserved() {
    return !observer.equals(Observer.NONE);
  }
}
