/// A model: its config, its shards joined by the index, and what each tensor is for.
package smelt.formats.checkpoint;
