/// Makes a calibration table: one pass of a model over a corpus, layer by layer. `CalibratePlan`
/// says beforehand what it takes, `Calibration` does it, and goes on where it was interrupted.
package smelt.calibrate.pass;
