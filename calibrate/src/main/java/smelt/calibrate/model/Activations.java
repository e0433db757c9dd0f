package smelt.calibrate.model;

import smelt.formats.checkpoint.Weight;

/// Says how the input of each linear is rounded.
@FunctionalInterface
public interface Activations {

  /// Nothing is rounded.
  Activations NONE = _ -> new ActivationScheme.None();

  /// The rounding of what this weight is multiplied with.
  ActivationScheme of(Weight weight);
}
