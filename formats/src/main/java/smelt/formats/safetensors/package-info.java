/// The safetensors container: read strictly, written deterministically.
package smelt.formats.safetensors;
