/// The GGUF container of ggml and llama.cpp: read strictly, written deterministically.
package smelt.formats.gguf;
