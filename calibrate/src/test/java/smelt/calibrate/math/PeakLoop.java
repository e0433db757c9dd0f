package smelt.calibrate.math;

import static jdk.incubator.vector.VectorOperators.ADD;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// The most multiply-adds that a core of this machine does: twelve independent chains in registers.
final class PeakLoop {

  private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
  private static final int CHAINS = 12;
  private static final int STEPS = 200_000;

  private PeakLoop() {}

  static double flops() {
    return 2.0 * CHAINS * STEPS * F.length();
  }

  static float run() {
    FloatVector a = FloatVector.broadcast(F, 1e-9f);
    FloatVector b = FloatVector.broadcast(F, 0.999f);
    FloatVector s0 = a;
    FloatVector s1 = a;
    FloatVector s2 = a;
    FloatVector s3 = a;
    FloatVector s4 = a;
    FloatVector s5 = a;
    FloatVector s6 = a;
    FloatVector s7 = a;
    FloatVector s8 = a;
    FloatVector s9 = a;
    FloatVector s10 = a;
    FloatVector s11 = a;
    for (int i = 0; i < STEPS; i++) {
      s0 = s0.fma(b, a);
      s1 = s1.fma(b, a);
      s2 = s2.fma(b, a);
      s3 = s3.fma(b, a);
      s4 = s4.fma(b, a);
      s5 = s5.fma(b, a);
      s6 = s6.fma(b, a);
      s7 = s7.fma(b, a);
      s8 = s8.fma(b, a);
      s9 = s9.fma(b, a);
      s10 = s10.fma(b, a);
      s11 = s11.fma(b, a);
    }
    FloatVector low = s0.add(s1).add(s2).add(s3).add(s4).add(s5);
    return low.add(s6).add(s7).add(s8).add(s9).add(s10).add(s11).reduceLanes(ADD);
  }
}
