package smelt.calibrate.math;

import static smelt.calibrate.math.Matrix.F32;

import java.lang.foreign.MemorySegment;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.codec.Kernels;
import smelt.formats.codec.Tile;
import smelt.formats.codec.Transcoder;

/// Replaces numbers by what the codes of a runtime stand for, each row by itself.
final class Rounding {

  private static final float E4M3_MAX = 448;
  private static final long ALIGNMENT = 64;

  /// Numbers of a task.
  private static final long TASK_NUMBERS = 1 << 14;

  private final Kernels codec;
  private final Workers workers;
  private final Workspace workspace;

  Rounding(Kernels codec, Workers workers, Workspace workspace) {
    this.codec = codec;
    this.workers = workers;
    this.workspace = workspace;
  }

  /// Bytes of the workspace for rows of up to `cols` numbers.
  long scratchBytes(long cols) {
    return Math.multiplyExact(workers.threads(), workerBytes(cols));
  }

  /// Codes, scales (at most one a number) and the transcoder's own memory, of one row.
  private static long workerBytes(long cols) {
    return aligned(cols) + 3 * aligned(Float.BYTES * cols) + (1 << 16);
  }

  private static long aligned(long bytes) {
    return Math.multiplyExact(Math.ceilDiv(bytes, ALIGNMENT), ALIGNMENT);
  }

  /// What is done with one row of the input and of the result.
  @FunctionalInterface
  private interface RowUse {
    /// @param work memory of the worker
    void run(long row, MemorySegment work);
  }

  private void eachRow(Matrix x, RowUse use) {
    long perTask = Math.max(1, TASK_NUMBERS / Math.max(1, x.cols()));
    long workerBytes = workerBytes(x.cols());
    MemorySegment memory = workspace.atLeast(scratchBytes(x.cols()));
    workers.run(
        Math.toIntExact(Math.ceilDiv(x.rows(), perTask)),
        (task, worker) -> {
          MemorySegment own = memory.asSlice(worker * workerBytes, workerBytes);
          long end = Math.min(x.rows(), (task + 1) * perTask);
          for (long row = task * perTask; row < end; row++) {
            use.run(row, own);
          }
        });
  }

  /// Scales from the numbers themselves, as `encoding` has them.
  void throughCodes(Encoding encoding, Matrix x, Matrix out) {
    long cols = x.cols();
    long scales = aligned(cols);
    long work = scales + aligned(Float.BYTES * cols);
    eachRow(
        x,
        (row, memory) -> {
          Tile codes = new Tile(encoding, memory, 0, memory, scales, 1, cols);
          Tile from = Tile.plain(ElementType.F32, x.data(), x.at(row, 0), 1, cols);
          Tile to = Tile.plain(ElementType.F32, out.data(), out.at(row, 0), 1, cols);
          Transcoder.transcode(codec, from, codes, memory.asSlice(work));
          Transcoder.transcode(codec, codes, to, memory.asSlice(work));
        });
  }

  /// `e4m3(clamp(x * (1 / scale), -448, 448)) * scale`, half to even; NaN stays.
  void e4m3(float scale, Matrix x, Matrix out) {
    float reciprocal = 1 / scale;
    long cols = x.cols();
    long one = aligned(cols);
    eachRow(
        x,
        (row, memory) -> {
          for (long col = 0; col < cols; col++) {
            float value = x.data().get(F32, x.at(row, col)) * reciprocal;
            float finite = Float.isNaN(value) ? 0 : Math.clamp(value, -E4M3_MAX, E4M3_MAX);
            out.data().set(F32, out.at(row, col), finite);
          }
          memory.set(F32, one, 1);
          codec.encodeE4m3(out.data(), out.at(row, 0), memory, one, cols, memory, 0, cols);
          memory.set(F32, one, scale);
          codec.decodeE4m3(memory, 0, memory, one, cols, out.data(), out.at(row, 0), cols);
          keepNan(x, out, row);
        });
  }

  private static void keepNan(Matrix x, Matrix out, long row) {
    for (long col = 0; col < x.cols(); col++) {
      if (Float.isNaN(x.data().get(F32, x.at(row, col)))) {
        out.data().set(F32, out.at(row, col), Float.NaN);
      }
    }
  }

  /// `clamp(rint(x / scale), -128, 127) * scale`, half to even; NaN stays.
  void int8(float scale, Matrix x, Matrix out) {
    eachRow(
        x,
        (row, _) -> {
          for (long col = 0; col < x.cols(); col++) {
            float code = (float) Math.rint(x.data().get(F32, x.at(row, col)) / scale);
            out.data().set(F32, out.at(row, col), clamp(code) * scale);
          }
        });
  }

  /// `(clamp(rint(x * (1 / scale)) + offset, -128, 127) - offset) * scale`, half to even; NaN
  /// stays.
  void int8(float scale, int offset, Matrix x, Matrix out) {
    float reciprocal = 1 / scale;
    eachRow(
        x,
        (row, _) -> {
          for (long col = 0; col < x.cols(); col++) {
            float whole = (float) Math.rint(x.data().get(F32, x.at(row, col)) * reciprocal);
            out.data().set(F32, out.at(row, col), (clamp(whole + offset) - offset) * scale);
          }
        });
  }

  /// `(clamp(rint(x * factor + offset), -128, 127) - offset) * scale`, half to even; NaN stays.
  void int8(float factor, int offset, float scale, Matrix x, Matrix out) {
    eachRow(
        x,
        (row, _) -> {
          for (long col = 0; col < x.cols(); col++) {
            float code = (float) Math.rint(x.data().get(F32, x.at(row, col)) * factor + offset);
            out.data().set(F32, out.at(row, col), (clamp(code) - offset) * scale);
          }
        });
  }

  private static float clamp(float code) {
    return Math.min(127, Math.max(-128, code));
  }
}
