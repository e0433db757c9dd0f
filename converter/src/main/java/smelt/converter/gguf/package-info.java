/// A checkpoint as one GGUF file for llama.cpp: what stands in it, and the writing of it.
package smelt.converter.gguf;
