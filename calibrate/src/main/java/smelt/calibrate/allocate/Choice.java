package smelt.calibrate.allocate;

/// A scheme that a part of a model may get.
///
/// @param scheme its name, such as `q4_k`
/// @param bytes of the part in it, exactly: codes, scales and whatever else it adds to files
/// @param error what the part's scheme is predicted to add to the loss, such as a KL divergence
public record Choice(String scheme, long bytes, double error) {
  public Choice {
    if (bytes < 0 || !(error >= 0) || Double.isInfinite(error)) {
      throw new IllegalArgumentException(scheme + ": " + bytes + " bytes, error " + error);
    }
  }
}
