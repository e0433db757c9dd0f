package smelt.verify;

import java.util.Optional;
import smelt.formats.checkpoint.ModelConfig;

/// How thorough a check is.
///
/// @param readData whether tensor data and file digests are read, not only headers and texts
/// @param threads how many files or runs of tensors are read at once
/// @param model config of the model that packed experts are of; of no use to other kinds
public record CheckOptions(boolean readData, int threads, Optional<ModelConfig> model) {

  public CheckOptions {
    if (threads < 1) {
      throw new IllegalArgumentException(threads + " threads");
    }
  }

  /// Without a model to compare with.
  public CheckOptions(boolean readData, int threads) {
    this(readData, threads, Optional.empty());
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
