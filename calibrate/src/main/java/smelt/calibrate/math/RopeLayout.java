package smelt.calibrate.math;

public enum RopeLayout {
  INTERLEAVED,
  HALVES
}
