package smelt.converter.quality;

import java.io.IOException;
import java.nio.file.Path;
import smelt.converter.WideModel;

/// Writes a checkpoint of about so many gigabytes: DeepSeek-V3's architecture in FP8, hidden size
/// 2048, 64 experts of width 1024, random weights. To see that memory does not depend on the size:
///
///     smelt convert BIG --recipe int8-channel -o OUT
///     smelt verify OUT --against BIG --memory 2G --tokens 2048
public final class LargeModel {

  private static final long BYTES_PER_LAYER = 420_000_000;

  private LargeModel() {}

  /// @param args the folder; gigabytes, by default 8
  public static void main(String[] args) throws IOException {
    double gigabytes = args.length > 1 ? Double.parseDouble(args[1]) : 8;
    System.out.println(write(Path.of(args[0]), (long) (gigabytes * 1e9)));
  }

  static Path write(Path folder, long bytes) throws IOException {
    int layers = Math.toIntExact(Math.max(2, bytes / BYTES_PER_LAYER));
    return WideModel.of(layers)
        .with("num_nextn_predict_layers", 0)
        .shards(Math.max(2, layers / 2))
        .write(folder);
  }
}
