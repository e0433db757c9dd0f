/// What goes into a model's linears, measured while the reference model runs, and kept as a
/// calibration table.
package smelt.calibrate.observe;
