package smelt.converter;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Properties;

/// The version of this program, as the build stamped it.
public final class Version {

  private Version() {}

  /// Such as `0.1.0`.
  public static String text() {
    try (InputStream in = Version.class.getResourceAsStream("/smelt/version.properties")) {
      if (in == null) {
        throw new IllegalStateException("the program was built without its version");
      }
      Properties properties = new Properties();
      properties.load(in);
      return properties.getProperty("version");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
