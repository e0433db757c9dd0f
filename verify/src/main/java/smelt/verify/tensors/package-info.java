/// Compares every weight of a result, decoded, with the source's decoded weight, in one streaming
/// pass over both.
///
/// `Pairing` finds what belongs together, `Side` reads rows of either, `Deviation` sums what
/// differs, `TensorComparison` runs it on all cores. `SmoothedPairs` knows between which weights
/// factors have passed, `SourceFactors` tells them and puts them into the source's numbers.
package smelt.verify.tensors;
