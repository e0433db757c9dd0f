/// Encodings of weights and the kernels that decode and encode them.
package smelt.formats.codec;
