package smelt.calibrate.text;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.io.IOException;
import java.io.InputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NativeTokenizersTest {

  @ParameterizedTest
  @CsvSource({
    "Linux, amd64, linux-x86_64, libtokenizers.so",
    "Linux, aarch64, linux-aarch64, libtokenizers.so",
    "Mac OS X, aarch64, osx-aarch64, libtokenizers.dylib"
  })
  void everySupportedSystemHasItsLibrary(String os, String arch, String folder, String file)
      throws IOException {
    String found = NativeTokenizers.system(os) + "-" + NativeTokenizers.machine(arch);
    assertThat(found).isEqualTo(folder);
    try (InputStream library =
        TokenizersLibrary.class.getResourceAsStream("/native/lib/" + found + "/cpu/" + file)) {
      assertThat(library).isNotNull();
    }
  }

  @Test
  void loadingTwiceGivesTheSameLibrary() throws IOException {
    assertThat(NativeTokenizers.load()).isSameAs(NativeTokenizers.load());
  }
}
