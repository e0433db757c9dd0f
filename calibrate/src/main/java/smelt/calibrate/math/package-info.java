/// The operations that a reference model is made of, on F32 matrices: scalar kernels are the
/// definition, vector kernels their twins within a bound.
package smelt.calibrate.math;
