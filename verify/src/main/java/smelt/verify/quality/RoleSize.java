package smelt.verify.quality;

/// Bytes of one role before and after.
///
/// @param role as in [smelt.formats.checkpoint.TensorRole#label]
/// @param parameters elements of the weights
public record RoleSize(String role, long parameters, long sourceBytes, long resultBytes) {}
