package smelt.calibrate.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Locale;

/// A file of compiled kernels, for every generation of devices that they run on. `./dev cuda` makes
/// them from `src/main/cuda`, and records the digest of the sources beside them.
enum KernelImage {
  CODEC,
  MATH;

  /// File name of the compiled kernels.
  String file() {
    return name().toLowerCase(Locale.ROOT) + ".fatbin";
  }

  /// The file's bytes.
  byte[] bytes() {
    try (InputStream in = KernelImage.class.getResourceAsStream(file())) {
      if (in == null) {
        throw new IllegalStateException(file() + " is not in the program");
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
