/// The reference model: a readable forward pass that streams a checkpoint's weights, one layer at a
/// time and of a layer's experts one at a time, for all tokens of a batch together.
package smelt.calibrate.model;
