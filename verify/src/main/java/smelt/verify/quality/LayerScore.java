package smelt.verify.quality;

import java.util.Optional;
import java.util.OptionalDouble;

/// One layer of the result's path against the source's path. All are SQNR in dB; infinite where
/// nothing differs.
///
/// @param layer number, from 0
/// @param localDb of what the layer adds to the hidden state, given the source path's input and
///   experts
/// @param localLimitDb one-sided lower limit of `localDb`, at the verdict's level, when whole
///   documents are drawn; empty where there are too few
/// @param freeDb of the hidden state behind the layer, each path on its own
/// @param forcedDb the same with the source's experts forced on the result's path
/// @param router empty for layers without experts
public record LayerScore(
    int layer,
    double localDb,
    OptionalDouble localLimitDb,
    double freeDb,
    double forcedDb,
    Optional<RouterScore> router) {}
