package smelt.calibrate.math;

public interface MathKernels {}
