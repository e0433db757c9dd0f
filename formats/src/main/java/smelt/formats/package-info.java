/// What bytes and names mean. This package holds what every format shares: element types, shapes,
/// the two errors that a file can cause, and where bytes come from.
///
/// - `smelt.formats.source`: where a model's files lie (folder, cache snapshot, tar, zip)
/// - `smelt.formats.safetensors`: the container, read strictly and written deterministically
/// - `smelt.formats.gguf`: the container of ggml and llama.cpp, likewise
/// - `smelt.formats.checkpoint`: a model: config, shards joined by the index, tensor roles
/// - `smelt.formats.scheme`: how a weight is encoded: its tensors, their types and shapes
/// - `smelt.formats.codec`: kernels that decode and encode weights; scalar is the definition
/// - `smelt.formats.files`: files that appear whole or not at all
package smelt.formats;
