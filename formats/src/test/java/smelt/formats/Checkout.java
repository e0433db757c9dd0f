package smelt.formats;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/// Finds what tests need outside their module: the checkout, and the golden data beside it.
public final class Checkout {

  private Checkout() {}

  /// The folder that holds `dev` and `samples`.
  public static Path root() {
    return above("dev")
        .map(Path::getParent)
        .orElseThrow(() -> new IllegalStateException("tests run outside of a checkout"));
  }

  /// A file or folder of the golden data. A test that needs it is skipped where it is absent.
  ///
  /// It is looked for in `SMELT_GOLDEN` (system property or environment), then in `shared/golden`
  /// of the folders above this module.
  public static Path golden(String name) {
    Optional<Path> golden =
        Optional.ofNullable(System.getProperty("SMELT_GOLDEN", System.getenv("SMELT_GOLDEN")))
            .map(Path::of)
            .or(() -> above("shared/golden"))
            .map(folder -> folder.resolve(name))
            .filter(Files::exists);
    assumeTrue(golden.isPresent(), "no golden data: set SMELT_GOLDEN to run this test");
    return golden.orElseThrow();
  }

  private static Optional<Path> above(String name) {
    for (Path p = Path.of("").toAbsolutePath(); p != null; p = p.getParent()) {
      if (Files.exists(p.resolve(name))) {
        return Optional.of(p.resolve(name));
      }
    }
    return Optional.empty();
  }
}
