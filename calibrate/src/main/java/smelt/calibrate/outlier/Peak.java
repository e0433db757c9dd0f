package smelt.calibrate.outlier;

import smelt.formats.checkpoint.Weight;

/// The largest number that came out of a `down` linear, and what went in for the same token.
///
/// @param out its magnitude
/// @param outShare part of the token's output energy that it is
/// @param in magnitude of the token's largest input
/// @param inShare part of the token's input energy that it is
record Peak(
    Weight weight,
    float out,
    int outChannel,
    double outShare,
    float in,
    int inChannel,
    double inShare) {}
