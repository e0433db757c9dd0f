package smelt.calibrate.text;

import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import smelt.formats.Checkout;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// The sample model and its tokenizer.
final class Samples {

  static final int VOCABULARY = 1536;
  static final int BEGIN = 0;
  static final int END = 1;

  private Samples() {}

  static Path model() {
    return Checkout.root().resolve("samples/tiny-deepseek-v3");
  }

  static Path corpus(String name) {
    return Checkout.root().resolve("samples/corpora").resolve(name);
  }

  static Tokenizer tokenizer() throws IOException {
    try (ModelSource source = ModelSources.open(model())) {
      return Tokenizer.open(source);
    }
  }

  static SpecialTokens special(Tokenizer tokenizer) throws IOException {
    try (ModelSource source = ModelSources.open(model())) {
      return SpecialTokens.of(source, Optional.of(tokenizer));
    }
  }

  /// The whole numbers of a NumPy file, little-endian, of two, four or eight bytes.
  static int[] numbers(Path npy) throws IOException {
    byte[] bytes = Files.readAllBytes(npy);
    DataInputStream head = new DataInputStream(new ByteArrayInputStream(bytes));
    head.skipNBytes(8);
    int start = 10 + Short.toUnsignedInt(Short.reverseBytes(head.readShort()));
    String header = new String(bytes, 10, start - 10, java.nio.charset.StandardCharsets.US_ASCII);
    int width = header.contains("i8") ? 8 : header.contains("i4") ? 4 : 2;
    ByteBuffer data = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int[] numbers = new int[(bytes.length - start) / width];
    for (int i = 0; i < numbers.length; i++) {
      int at = start + i * width;
      numbers[i] =
          switch (width) {
            case 8 -> Math.toIntExact(data.getLong(at));
            case 4 -> data.getInt(at);
            default -> Short.toUnsignedInt(data.getShort(at));
          };
    }
    return numbers;
  }
}
