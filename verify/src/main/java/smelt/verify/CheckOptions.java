package smelt.verify;

/// How thorough a check is.
///
/// @param readData whether tensor data and file digests are read, not only headers and texts
/// @param threads how many files or runs of tensors are read at once
public record CheckOptions(boolean readData, int threads) {

  public CheckOptions {
    if (threads < 1) {
      throw new IllegalArgumentException(threads + " threads");
    }
  }

  /// Everything, with two threads.
  public static CheckOptions full() {
    return new CheckOptions(true, 2);
  }

  /// Headers, config, index and manifest only.
  public static CheckOptions quick() {
    return new CheckOptions(false, 2);
  }
}
