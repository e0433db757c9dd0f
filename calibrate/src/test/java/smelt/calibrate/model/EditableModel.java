package smelt.calibrate.model;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// A copy of a model whose stored numbers a test may change.
public record EditableModel(Path folder, List<Weight> weights) {

  /// Gives other numbers for a grid of scales.
  @FunctionalInterface
  interface GridEdit {
    float[] apply(float[] scales, int rows, int cols);
  }

  public static EditableModel copy(Path model, Path folder) throws IOException {
    try (Stream<Path> files = Files.list(model)) {
      for (Path file : files.toList()) {
        Files.write(folder.resolve(file.getFileName()), Files.readAllBytes(file));
      }
    }
    try (ModelSource source = ModelSources.open(folder)) {
      return new EditableModel(folder, Checkpoint.open(source).weights());
    }
  }

  public Weight weight(TensorRole role) {
    return weights.stream().filter(w -> w.role().equals(role)).findFirst().orElseThrow();
  }

  public byte[] read(SourceTensor tensor) throws IOException {
    try (RandomAccessFile file = open(tensor)) {
      byte[] bytes = new byte[Math.toIntExact(tensor.bytes())];
      file.seek(tensor.offset());
      file.readFully(bytes);
      return bytes;
    }
  }

  public void write(SourceTensor tensor, byte[] bytes) throws IOException {
    if (bytes.length != tensor.bytes()) {
      throw new IllegalArgumentException(tensor.name() + ": " + bytes.length + " bytes");
    }
    try (RandomAccessFile file = open(tensor)) {
      file.seek(tensor.offset());
      file.write(bytes);
    }
  }

  private RandomAccessFile open(SourceTensor tensor) throws IOException {
    return new RandomAccessFile(folder.resolve(tensor.file()).toFile(), "rw");
  }

  /// Exchanges the numbers of two weights of the same shape, without scales.
  void exchange(TensorRole one, TensorRole other) throws IOException {
    SourceTensor a = weight(one).codes();
    SourceTensor b = weight(other).codes();
    byte[] bytes = read(a);
    write(a, read(b));
    write(b, bytes);
  }

  void eachScaleGrid(GridEdit edit) throws IOException {
    for (Weight weight : weights) {
      if (weight.scale().isPresent()) {
        SourceTensor scale = weight.scale().get();
        float[] scales = new float[Math.toIntExact(scale.shape().elements())];
        little(read(scale)).get(scales);
        byte[] changed = new byte[Math.toIntExact(scale.bytes())];
        int rows = Math.toIntExact(scale.shape().dim(0));
        int cols = Math.toIntExact(scale.shape().dim(1));
        little(changed).put(edit.apply(scales, rows, cols));
        write(scale, changed);
      }
    }
  }

  static float[] readColumnMajor(float[] scales, int rows, int cols) {
    float[] read = new float[scales.length];
    for (int row = 0; row < rows; row++) {
      for (int col = 0; col < cols; col++) {
        read[row * cols + col] = scales[col * rows + row];
      }
    }
    return read;
  }

  static float[] repeatFirst(float[] scales, int rows, int cols) {
    float[] read = new float[scales.length];
    java.util.Arrays.fill(read, scales[0]);
    return read;
  }

  private static FloatBuffer little(byte[] bytes) {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
  }
}
