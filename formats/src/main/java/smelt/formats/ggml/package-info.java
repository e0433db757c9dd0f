/// The block types of ggml: rows of F32 to blocks of codes and scales. The bytes are those that
/// llama.cpp's quantizer writes where it is built for plain x86-64, without fused multiplication
/// and addition.
package smelt.formats.ggml;
