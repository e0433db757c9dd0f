/// Executes a plan: tiles of weights go through the codecs to their planned offsets, finished
/// shards are sealed with receipts, and the output folder becomes a model only at the very end.
package smelt.converter.run;
