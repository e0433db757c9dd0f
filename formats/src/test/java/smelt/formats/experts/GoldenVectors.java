package smelt.formats.experts;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import smelt.formats.Checkout;

/// Inputs and outputs of the runtimes' own packing code.
final class GoldenVectors {

  private GoldenVectors() {}

  static byte[] bytes(String name) throws IOException {
    Path file = Checkout.golden("kt/" + name);
    return Files.readAllBytes(file);
  }

  static float[] bf16(String name) throws IOException {
    ByteBuffer in = ByteBuffer.wrap(bytes(name)).order(ByteOrder.LITTLE_ENDIAN);
    float[] numbers = new float[in.remaining() / 2];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = Float.intBitsToFloat(in.getShort() << 16);
    }
    return numbers;
  }

  static float[] f32(String name) throws IOException {
    ByteBuffer in = ByteBuffer.wrap(bytes(name)).order(ByteOrder.LITTLE_ENDIAN);
    float[] numbers = new float[in.remaining() / 4];
    in.asFloatBuffer().get(numbers);
    return numbers;
  }

  static float[] row(float[] matrix, int k, int row) {
    return java.util.Arrays.copyOfRange(matrix, row * k, (row + 1) * k);
  }

  static MemorySegment segment(byte[] bytes) {
    return MemorySegment.ofArray(bytes);
  }
}
