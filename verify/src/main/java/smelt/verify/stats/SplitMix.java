package smelt.verify.stats;

/// SplitMix64, a generator of 64-bit numbers, written out so that its numbers cannot change with
/// the platform. The state advances by the golden ratio's bits; the output is Stafford's 13th mixer
/// of the state.
final class SplitMix {

  /// Seed of every resampling. Each limit starts anew from it.
  static final long SEED = 0x5EED_0F_5AFE_7E57L;

  private static final long GOLDEN = 0x9E37_79B9_7F4A_7C15L;

  private long state;

  SplitMix(long seed) {
    state = seed;
  }

  long next() {
    state += GOLDEN;
    long z = state;
    z = (z ^ (z >>> 30)) * 0xBF58_476D_1CE4_E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D0_49BB_1331_11EBL;
    return z ^ (z >>> 31);
  }

  /// From 0 to `bound - 1`. The bias is below `bound / 2^32`.
  int below(int bound) {
    return (int) (((next() >>> 32) * bound) >>> 32);
  }
}
