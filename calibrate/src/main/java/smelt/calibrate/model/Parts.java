package smelt.calibrate.model;

import smelt.calibrate.math.Compute;

/// What every block works with.
record Parts(
    ModelSpec spec, ModelWeights weights, Linears linears, Compute compute, Scratch scratch) {}
