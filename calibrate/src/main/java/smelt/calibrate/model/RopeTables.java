package smelt.calibrate.model;

import smelt.calibrate.math.Matrix;

/// Cosines and sines of the first positions: one row a position, one column a pair.
record RopeTables(Matrix cos, Matrix sin) {

  static long bytes(Rope rope, long positions) {
    return 2 * Scratch.bytesOf(positions, rope.size() / 2);
  }

  static RopeTables of(Rope rope, long positions, Scratch scratch) {
    double[] frequencies = rope.frequencies();
    double factor = rope.rotationFactor();
    Matrix cos = scratch.matrix(positions, frequencies.length);
    Matrix sin = scratch.matrix(positions, frequencies.length);
    for (long position = 0; position < positions; position++) {
      for (int i = 0; i < frequencies.length; i++) {
        double angle = position * frequencies[i];
        cos.set(position, i, (float) (Math.cos(angle) * factor));
        sin.set(position, i, (float) (Math.sin(angle) * factor));
      }
    }
    return new RopeTables(cos, sin);
  }

  RopeTables first(long positions) {
    return new RopeTables(cos.rows(0, positions), sin.rows(0, positions));
  }
}
