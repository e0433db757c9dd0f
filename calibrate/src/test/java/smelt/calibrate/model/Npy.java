package smelt.calibrate.model;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// An array of a NumPy file (format 1.0): little-endian numbers in C order, read as doubles.
@SuppressWarnings("ArrayRecordComponent")
record Npy(int[] shape, double[] values) {

  private static final Pattern HEADER =
      Pattern.compile(
          "\\{'descr': '<([fi][48])', 'fortran_order': False, 'shape': \\(([0-9, ]*)\\), \\}\\s*");

  static Npy read(Path file) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    byte[] magic = new byte[8];
    bytes.get(magic);
    if (!new String(magic, ISO_8859_1).equals("\u0093NUMPY\u0001\u0000")) {
      throw new IOException(file + " is no NumPy file of format 1.0");
    }
    byte[] text = new byte[bytes.getShort()];
    bytes.get(text);
    Matcher header = HEADER.matcher(new String(text, ISO_8859_1));
    if (!header.matches()) {
      throw new IOException(file + ": header " + new String(text, ISO_8859_1));
    }
    int[] shape =
        Arrays.stream(header.group(2).split(","))
            .map(String::strip)
            .filter(dim -> !dim.isEmpty())
            .mapToInt(Integer::parseInt)
            .toArray();
    double[] values = new double[Arrays.stream(shape).reduce(1, Math::multiplyExact)];
    for (int i = 0; i < values.length; i++) {
      values[i] = next(bytes, header.group(1));
    }
    if (bytes.hasRemaining()) {
      throw new IOException(file + ": " + bytes.remaining() + " bytes too many");
    }
    return new Npy(shape, values);
  }

  private static double next(ByteBuffer bytes, String type) {
    return switch (type) {
      case "f4" -> bytes.getFloat();
      case "f8" -> bytes.getDouble();
      case "i4" -> bytes.getInt();
      case "i8" -> bytes.getLong();
      default -> throw new IllegalArgumentException(type);
    };
  }

  double get(int... index) {
    int at = 0;
    for (int axis = 0; axis < shape.length; axis++) {
      at = at * shape[axis] + java.util.Objects.checkIndex(index[axis], shape[axis]);
    }
    return values[at];
  }
}
