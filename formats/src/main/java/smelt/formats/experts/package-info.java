/// How routed experts lie in memory for CPU kernels: packed tiles of KTransformers, and the row
/// rules by which their codes are chosen. Pure stages from codes to bytes and back; names and files
/// of the result belong to `converter`.
package smelt.formats.experts;
