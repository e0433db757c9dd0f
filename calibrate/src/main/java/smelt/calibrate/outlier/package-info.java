/// Finds the few weights and experts without which a model breaks, from one forward pass.
package smelt.calibrate.outlier;
