package smelt.converter;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import smelt.formats.Checkout;

/// The sample models of the checkout.
public final class SampleModel {

  public static final String FP8 = "tiny-deepseek-v3-fp8";
  public static final String BF16 = "tiny-deepseek-v3";

  private SampleModel() {}

  /// Where a sample lies. Not to be written to.
  public static Path path(String name) {
    return Checkout.root().resolve("samples").resolve(name);
  }

  /// A copy of a sample, for a test to spoil.
  public static Path copy(String name, Path into) {
    try (Stream<Path> files = Files.list(path(name))) {
      Files.createDirectories(into);
      for (Path file : files.toList()) {
        Files.copy(file, into.resolve(file.getFileName()));
      }
      return into;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
