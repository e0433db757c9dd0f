/// What a verification finds, as data: scores of tensors, layers and tokens, the gates of a
/// profile, and the verdict. Measured by `inference` and `tensors`, judged with `stats`, shown by
/// `report`, kept by `tables`.
package smelt.verify.quality;
