package smelt.verify.quality;

/// How often one routed expert was chosen on the source's path.
///
/// @param tokens tokens that were sent to it
/// @param weight sum of the routing weights of those tokens
public record ExpertUse(int layer, int expert, long tokens, double weight) {}
