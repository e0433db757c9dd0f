package smelt.calibrate.cost;

/// What a machine does in a second.
///
/// @param read bytes read from storage
/// @param write bytes written to storage
/// @param flops operations of products, each multiplication and each addition one
public record Rates(double read, double write, double flops) {
  public Rates {
    if (!(read > 0) || !(write > 0) || !(flops > 0) || Double.isInfinite(read + write + flops)) {
      throw new IllegalArgumentException(read + " and " + write + " bytes/s, " + flops + " FLOP/s");
    }
  }
}
