/// What each part of a model loses in each scheme, measured: the part alone is rounded, and the
/// divergence at the end of the model is seen.
package smelt.calibrate.sensitivity;
