/// Which numbers to choose: the reference model, what it shows of a model's inputs, smoothing.
package smelt.calibrate;
