package smelt.converter.bench;

import java.io.IOException;
import java.nio.file.Path;
import smelt.converter.WideModel;

/// The checkpoint that is converted: DeepSeek-V3's architecture in FP8, as wide as its small
/// relatives (hidden size 2048, 64 experts), with random weights; 2 GiB in four shards.
final class BenchModel {

  /// A little more than the checkpoint has.
  static final long BYTES = 2_200_000_000L;

  private BenchModel() {}

  /// Writes the checkpoint and returns its folder.
  static Path write(Path folder) throws IOException {
    return WideModel.of(4).shards(4).write(folder);
  }
}
