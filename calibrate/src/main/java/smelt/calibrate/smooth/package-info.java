/// Smoothing: factors that pass between neighbours in a model, from activations that round badly
/// into weights that round well, without changing what the model computes.
///
/// [smelt.calibrate.smooth.Couplings] finds the pairs of a model and all weights of each,
/// [smelt.calibrate.smooth.Smoothing] chooses the factors of a pair from what was seen at its site,
/// and [smelt.calibrate.smooth.Folding] says what each weight is multiplied by.
package smelt.calibrate.smooth;
