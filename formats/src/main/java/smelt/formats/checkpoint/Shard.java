package smelt.formats.checkpoint;

/// One file of weights of a checkpoint.
///
/// @param file its name, relative to the model's root
/// @param size in bytes
/// @param headerSha256 digest of the length field and the header, in lower-case hex: what the file
///   claims to hold
/// @param tensors number of tensors stored in it
public record Shard(String file, long size, String headerSha256, int tensors) {}
