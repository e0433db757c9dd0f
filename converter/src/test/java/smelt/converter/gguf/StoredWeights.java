package smelt.converter.gguf;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// A checkpoint's weights as F32, decoded by the book: nothing of it is shared with the export.
final class StoredWeights implements AutoCloseable {

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final ModelSource source;
  private final Checkpoint checkpoint;

  StoredWeights(Path model) throws IOException {
    source = ModelSources.open(model);
    checkpoint = Checkpoint.open(source);
  }

  Checkpoint checkpoint() {
    return checkpoint;
  }

  byte[] bytes(SourceTensor tensor) throws IOException {
    byte[] bytes = new byte[Math.toIntExact(tensor.bytes())];
    try (ByteSource file = source.open(tensor.file())) {
      file.read(tensor.offset(), MemorySegment.ofArray(bytes));
    }
    return bytes;
  }

  float[] floats(String name) throws IOException {
    Weight weight = checkpoint.weight(name).orElseThrow();
    byte[] codes = bytes(weight.codes());
    int count = Math.toIntExact(weight.shape().elements());
    float[] out = new float[count];
    MemorySegment in = MemorySegment.ofArray(codes);
    int cols = Math.toIntExact(weight.shape().dims().getLast());
    MemorySegment scales =
        MemorySegment.ofArray(weight.scale().isPresent() ? bytes(weight.scale().get()) : codes);
    for (int i = 0; i < count; i++) {
      out[i] =
          switch (weight.codes().type()) {
            case F32 -> in.get(F32, (long) i * Float.BYTES);
            case BF16 -> Float.intBitsToFloat(in.get(U16, (long) i * Short.BYTES) << 16);
            case F8_E4M3 -> {
              int block = i / cols / 128 * Math.ceilDiv(cols, 128) + i % cols / 128;
              yield e4m3(codes[i]) * scales.get(F32, (long) block * Float.BYTES);
            }
            default -> throw new IllegalStateException(weight.codes().type().toString());
          };
    }
    return out;
  }

  private static float e4m3(byte code) {
    int exponent = code >> 3 & 15;
    int mantissa = code & 7;
    double magnitude =
        exponent == 0 ? mantissa * Math.pow(2, -9) : (8 + mantissa) * Math.pow(2, exponent - 10);
    return (float) (code < 0 ? -magnitude : magnitude);
  }

  @Override
  public void close() throws IOException {
    source.close();
  }
}
