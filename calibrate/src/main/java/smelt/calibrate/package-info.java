/// Which numbers to choose: the reference model, observers, scale search. Empty so far: the codecs
/// choose their scales from the weights alone.
package smelt.calibrate;
