package smelt.calibrate.pass;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import smelt.calibrate.math.Matrix;

/// The hidden states of all tokens, in mapped files: what a layer reads, what it makes of it, and
/// the sum of its experts. The first two change places with each layer, so that a layer's input
/// stays until the layer is done.
///
/// The files are written whole before they are mapped: a full disk must show there and not at a
/// store to the mapping, which would end the process.
final class Spill implements AutoCloseable {

  private static final int FILES = 3;
  private static final int CHUNK = 1 << 20;

  private final Arena arena = Arena.ofShared();
  private final Matrix[] states = new Matrix[FILES];

  private Spill() {}

  /// Bytes of all files.
  static long bytes(long tokens, int hidden) {
    return Math.multiplyExact(FILES, Matrix.bytes(tokens, hidden));
  }

  /// Opens the files, and makes those that are not there or have another size.
  static Spill open(Path folder, long tokens, int hidden) throws IOException {
    Spill spill = new Spill();
    try {
      for (int i = 0; i < FILES; i++) {
        spill.states[i] = spill.map(file(folder, i), tokens, hidden);
      }
      return spill;
    } catch (IOException | RuntimeException e) {
      spill.close();
      throw e;
    }
  }

  /// Whether all files are there in their size.
  static boolean isThere(Path folder, long tokens, int hidden) throws IOException {
    for (int i = 0; i < FILES; i++) {
      Path file = file(folder, i);
      if (!Files.isRegularFile(file) || Files.size(file) != Matrix.bytes(tokens, hidden)) {
        return false;
      }
    }
    return true;
  }

  private static Path file(Path folder, int number) {
    return folder.resolve("hidden-" + number + ".f32");
  }

  private Matrix map(Path file, long tokens, int hidden) throws IOException {
    long bytes = Matrix.bytes(tokens, hidden);
    if (!Files.exists(file) || Files.size(file) != bytes) {
      write(file, bytes);
    }
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      MemorySegment data = channel.map(MapMode.READ_WRITE, 0, bytes, arena);
      return new Matrix(data, 0, tokens, hidden, hidden);
    }
  }

  private static void write(Path file, long bytes) throws IOException {
    ByteBuffer zeros = ByteBuffer.allocateDirect((int) Math.min(CHUNK, Math.max(1, bytes)));
    try (FileChannel channel =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE,
            StandardOpenOption.WRITE,
            StandardOpenOption.TRUNCATE_EXISTING)) {
      long left = bytes;
      while (left > 0) {
        zeros.clear().limit((int) Math.min(left, zeros.capacity()));
        left -= channel.write(zeros);
      }
      channel.force(true);
    }
  }

  /// What a layer reads; the layer behind the last is the head.
  Matrix before(int layer) {
    return states[layer % 2];
  }

  /// Where what a layer makes of it goes.
  Matrix behind(int layer) {
    return states[(layer + 1) % 2];
  }

  /// Memory of the same size for anything.
  Matrix spare() {
    return states[2];
  }

  /// Forces hidden states to the disk.
  static void force(Matrix states) {
    states.data().force();
  }

  @Override
  public void close() {
    arena.close();
  }
}
