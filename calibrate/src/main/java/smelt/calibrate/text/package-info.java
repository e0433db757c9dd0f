/// From text to the token ids that a model reads, and back: a model's tokenizer, corpora of text or
/// of ids, and the sequences that are cut from them. Offline.
package smelt.calibrate.text;
