/// Chooses codes and scales of weights: the solvers. A row's numbers depend on that row and on what
/// is known of the input alone.
package smelt.calibrate.solve;
