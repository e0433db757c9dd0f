package smelt.calibrate.cost;

/// A job as bytes and operations. With rates it is a time: between `together`, if reading, writing
/// and computing never wait for each other, and `inTurn`, if each waits for the others.
///
/// @param read bytes read
/// @param written bytes written
/// @param flops operations
public record Effort(double read, double written, double flops) {

  /// One after the other.
  public Effort plus(Effort other) {
    return new Effort(read + other.read, written + other.written, flops + other.flops);
  }

  public double readSeconds(Rates rates) {
    return read / rates.read();
  }

  public double writeSeconds(Rates rates) {
    return written / rates.write();
  }

  public double computeSeconds(Rates rates) {
    return flops / rates.flops();
  }

  /// Seconds when nothing overlaps.
  public double inTurn(Rates rates) {
    return readSeconds(rates) + writeSeconds(rates) + computeSeconds(rates);
  }

  /// Seconds when computing overlaps with reading and writing, which share the storage.
  public double together(Rates rates) {
    return Math.max(readSeconds(rates) + writeSeconds(rates), computeSeconds(rates));
  }
}
