package smelt.verify.tensors;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;

/// The figures of one weight by the plainest loops there are, with a decoder of their own.
record PlainOracle(
    boolean bitExact,
    double sqnrDb,
    double maxAbsError,
    double relativeError,
    double cosine,
    long nonFinite,
    double clippedShare) {

  static PlainOracle of(Weight a, Path source, Weight b, Path result) throws IOException {
    float[] x = decode(a, source);
    float[] y = decode(b, result);
    double signal = 0;
    double other = 0;
    double product = 0;
    double noise = 0;
    double largest = 0;
    long nonFinite = 0;
    boolean exact = true;
    for (int i = 0; i < x.length; i++) {
      exact &= Float.floatToRawIntBits(x[i]) == Float.floatToRawIntBits(y[i]);
      if (!Float.isFinite(y[i])) {
        nonFinite++;
        continue;
      }
      signal += (double) x[i] * x[i];
      other += (double) y[i] * y[i];
      product += (double) x[i] * y[i];
      double error = (double) x[i] - y[i];
      noise += error * error;
      largest = Math.max(largest, Math.abs(error));
    }
    return new PlainOracle(
        exact,
        noise == 0 ? Double.POSITIVE_INFINITY : 10 * Math.log10(signal / noise),
        largest,
        noise == 0 ? 0 : Math.sqrt(noise / signal),
        signal == 0 && other == 0 ? 1 : product / Math.sqrt(signal * other),
        nonFinite,
        (double) clipped(b, result) / Math.max(1, x.length));
  }

  private static long clipped(Weight weight, Path folder) throws IOException {
    long count = 0;
    if (weight.scale().isPresent()) {
      for (byte code : bytes(weight.codes(), folder).array()) {
        boolean end =
            switch (weight.encoding().type()) {
              case I8 -> code == 127 || code <= -127;
              case F8_E4M3 -> Math.abs(e4m3(code)) == 448;
              default -> throw new IllegalStateException();
            };
        count += end ? 1 : 0;
      }
    }
    return count;
  }

  private static float[] decode(Weight weight, Path folder) throws IOException {
    ByteBuffer codes = bytes(weight.codes(), folder);
    float[] values = new float[(int) weight.shape().elements()];
    for (int i = 0; i < values.length; i++) {
      values[i] =
          switch (weight.encoding().type()) {
            case F32 -> codes.getFloat(4 * i);
            case F16 -> Float.float16ToFloat(codes.getShort(2 * i));
            case BF16 -> Float.intBitsToFloat(codes.getShort(2 * i) << 16);
            case I8 -> codes.get(i);
            case F8_E4M3 -> e4m3(codes.get(i));
            default -> throw new IllegalStateException("" + weight.encoding());
          };
    }
    if (weight.scale().isPresent()) {
      ByteBuffer scales = bytes(weight.scale().get(), folder);
      int cols = (int) weight.shape().dim(1);
      for (int i = 0; i < values.length; i++) {
        values[i] *= scale(weight, scales, i / cols, i % cols, cols);
      }
    }
    return values;
  }

  private static float scale(Weight weight, ByteBuffer scales, int row, int col, int cols) {
    int index =
        switch (weight.encoding()) {
          case Encoding.Plain _, Encoding.Ggml _ -> throw new IllegalStateException();
          case Encoding.Channel _ -> row;
          case Encoding.Int4 i -> (row * cols + col) / i.group();
          case Encoding.Block b ->
              row / b.blockRows() * ((cols + b.blockCols() - 1) / b.blockCols())
                  + col / b.blockCols();
        };
    return weight.scale().orElseThrow().type() == ElementType.F32
        ? scales.getFloat(4 * index)
        : Float.intBitsToFloat(scales.getShort(2 * index) << 16);
  }

  private static float e4m3(byte code) {
    int exponent = (code >> 3) & 15;
    int fraction = code & 7;
    double magnitude =
        exponent == 0 ? fraction / 512.0 : (8 + fraction) * Math.pow(2, exponent - 10);
    if ((code & 0x7F) == 0x7F) {
      return Float.NaN;
    }
    return (float) (code < 0 ? -magnitude : magnitude);
  }

  private static ByteBuffer bytes(SourceTensor tensor, Path folder) throws IOException {
    byte[] bytes = new byte[(int) tensor.bytes()];
    try (RandomAccessFile file =
        new RandomAccessFile(folder.resolve(tensor.file()).toFile(), "r")) {
      file.seek(tensor.offset());
      file.readFully(bytes);
    }
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
