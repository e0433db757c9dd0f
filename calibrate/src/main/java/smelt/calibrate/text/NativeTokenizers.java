package smelt.calibrate.text;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import smelt.formats.UnsupportedException;

/// The native tokenizer library, loaded once for the process from the jar that it comes in.
///
/// Only the binding to native code is used, of all that the jar holds. The rest of it would look
/// for a GPU, unpack into a cache that any user may have filled, fetch a library that is not in the
/// jar, and tell its makers where it runs.
final class NativeTokenizers {

  private static final String FOLDER = "/native/lib/";
  private static final Map<String, String> SYSTEMS =
      Map.of("linux", "libtokenizers.so", "osx", "libtokenizers.dylib");

  /// What is loaded into a process stays there, so whether it is can only be known to the process.
  private static boolean loaded;

  private NativeTokenizers() {}

  /// @throws UnsupportedException where the library does not run
  static synchronized TokenizersLibrary load() throws IOException {
    if (!loaded) {
      unpackAndLoad(system(System.getProperty("os.name")), machine(System.getProperty("os.arch")));
      loaded = true;
    }
    return TokenizersLibrary.LIB;
  }

  static String system(String osName) {
    String name = osName.toLowerCase(Locale.ROOT);
    return name.startsWith("mac") ? "osx" : name.startsWith("linux") ? "linux" : name;
  }

  static String machine(String osArch) {
    return osArch.equals("amd64") ? "x86_64" : osArch;
  }

  /// The library is unpacked into a new folder that only this user can enter, and removed as soon
  /// as it is loaded: the system keeps what is mapped.
  private static void unpackAndLoad(String system, String machine) throws IOException {
    String file = SYSTEMS.getOrDefault(system, "");
    String resource = FOLDER + system + "-" + machine + "/cpu/" + file;
    try (InputStream library =
        file.isEmpty() ? null : TokenizersLibrary.class.getResourceAsStream(resource)) {
      if (library == null) {
        throw new UnsupportedException(
            "tokenizer.json on " + system + " " + machine,
            "it is read on Linux (x86_64, aarch64) and macOS (aarch64); elsewhere give token ids");
      }
      Path folder = Files.createTempDirectory("smelt-tokenizer-");
      Path copy = folder.resolve(file);
      try {
        Files.copy(library, copy);
        load(copy);
      } finally {
        Files.deleteIfExists(copy);
        Files.delete(folder);
      }
    }
  }

  @SuppressWarnings("restricted") // native access is what this class is for
  private static void load(Path library) {
    try {
      System.load(library.toString());
    } catch (UnsatisfiedLinkError e) {
      throw new UnsupportedException(
          "a system that does not load the tokenizer library (" + e.getMessage() + ")",
          "it needs glibc 2.34 or newer and a temporary folder that programs may be loaded from"
              + " (choose one with -Djava.io.tmpdir); otherwise give token ids");
    }
  }
}
