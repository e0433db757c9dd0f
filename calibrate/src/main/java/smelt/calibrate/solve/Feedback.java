package smelt.calibrate.solve;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static smelt.calibrate.math.Matrix.F32;
import static smelt.calibrate.solve.HessianFactor.BLOCK;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.solve.Method.Gptq.Scales;

/// Rounds rows by GPTQ, some at a time: see [HessianFactor].
///
/// Column `j` in order becomes `weight[j]` and then, for each `i < j` in order, `fma(d[i], T[i][j],
/// ...)`; its code is the nearest, and `d[j] = fma(-scale, code, weight[j])`. In this order,
/// whatever the blocks: the blocks before are added by the kernel when a block's turn comes, and
/// within the block in parts of `PART` columns, so that most of the work is products of whole
/// blocks. So a row's result depends on nothing but the row.
final class Feedback {

  /// Rows that go together.
  static final int ROWS = 48;

  /// Columns whose errors are handed on one by one.
  private static final int PART = 32;

  private static final long BLOCK_ROW = (long) Float.BYTES * BLOCK;

  private final RowGrid grid;
  private final HessianFactor factor;
  private final Scales when;
  private final int cols;
  private final int groups;
  private final ScaleWalk walk;
  private final long stride;

  /// Weights of the rows in the order of the factor, which become errors, block by block.
  private final MemorySegment errors;

  /// The block whose turn it is, with the errors that it has taken up so far.
  private final MemorySegment block;

  private final float[] part = new float[ROWS * PART];
  private final float[] coupling = new float[PART * PART];
  private final float[] row;
  private final float[] group;
  private final float[] groupImportance;
  private final float[] scales;

  Feedback(RowGrid grid, Method.Gptq method, int cols, SegmentAllocator memory) {
    this.grid = grid;
    this.factor = method.factor();
    this.when = method.scales();
    this.cols = cols;
    this.groups = grid.groups(cols);
    if (factor.size() != cols) {
      throw new IllegalArgumentException(
          "rows of " + cols + " weights, second moments of " + factor.size() + " channels");
    }
    if (when == Scales.AT_GROUP_START && BLOCK % grid.group() != 0) {
      throw new IllegalArgumentException(
          "groups of " + grid.group() + " do not divide " + BLOCK + ", take scales beforehand");
    }
    this.walk = new ScaleWalk(grid);
    this.stride = (long) BLOCK * Math.ceilDiv(cols, BLOCK);
    this.errors = memory.allocate(Matrix.bytes(ROWS, stride), 64);
    this.block = memory.allocate(Matrix.bytes(ROWS, BLOCK), 64);
    this.row = new float[cols];
    this.group = new float[grid.group()];
    this.groupImportance = new float[grid.group()];
    this.scales = new float[ROWS * groups];
  }

  static long bytes(int cols) {
    long stride = (long) BLOCK * Math.ceilDiv(cols, BLOCK);
    return 128 + Matrix.bytes(ROWS, stride) + Matrix.bytes(ROWS, BLOCK);
  }

  /// @param rows at most `ROWS`, of finite numbers
  void solve(
      Matrix rows, MemorySegment codes, long codesOffset, MemorySegment out, long outOffset) {
    int count = Math.toIntExact(rows.rows());
    load(rows);
    for (int b = 0; b < stride / BLOCK; b++) {
      takeUp(b, count);
      for (int first = 0; first < BLOCK; first += PART) {
        readPart(b, first, count);
        for (int j = 0; j < PART && b * BLOCK + first + j < cols; j++) {
          roundColumn(b * BLOCK + first, j, count, codes, codesOffset);
        }
        handOn(b, first, count);
      }
    }
    for (int i = 0; i < count * groups; i++) {
      float scale = scales[i] == 0 ? grid.emptyScale() : scales[i];
      out.set(F32, outOffset + (long) Float.BYTES * i, scale);
    }
  }

  private long errorAt(int r, int col) {
    return Float.BYTES * (r * stride + col);
  }

  private void load(Matrix rows) {
    errors.fill((byte) 0);
    int[] columns = factor.columns();
    for (int r = 0; r < rows.rows(); r++) {
      MemorySegment.copy(rows.data(), F32, rows.at(r, 0), row, 0, cols);
      for (int i = 0; i < cols; i++) {
        errors.set(F32, errorAt(r, i), row[columns[i]]);
      }
      if (when == Scales.BEFOREHAND) {
        for (int g = 0; g < groups; g++) {
          int from = g * grid.group();
          scales[r * groups + g] = walk.search(row, factor.diagonal(), from, grid.group());
        }
      }
    }
  }

  /// The weights of a block, and what the errors of all blocks before add to them.
  private void takeUp(int b, int count) {
    for (int r = 0; r < count; r++) {
      MemorySegment.copy(errors, errorAt(r, b * BLOCK), block, BLOCK_ROW * r, BLOCK_ROW);
    }
    for (int before = 0; before < b; before++) {
      accumulate(before * BLOCK, count, HessianFactor.blockAt(before, b), BLOCK, 0, BLOCK);
    }
  }

  private void accumulate(int from, int count, long panel, int depth, long to, int width) {
    factor
        .kernels()
        .accumulate(
            errors,
            errorAt(0, from),
            Float.BYTES * stride,
            count,
            factor.blocks(),
            panel,
            BLOCK_ROW,
            depth,
            block,
            Float.BYTES * to,
            BLOCK_ROW,
            width);
  }

  private static long inBlock(int b, int row, int col) {
    return HessianFactor.blockAt(b, b) + BLOCK_ROW * row + (long) Float.BYTES * col;
  }

  private void readPart(int b, int first, int count) {
    for (int r = 0; r < count; r++) {
      long from = BLOCK_ROW * r + (long) Float.BYTES * first;
      MemorySegment.copy(block, F32, from, part, r * PART, PART);
    }
    for (int i = 0; i < PART; i++) {
      MemorySegment.copy(
          factor.blocks(), F32, inBlock(b, first + i, first), coupling, i * PART, PART);
    }
  }

  /// @param first of the part, in order
  private void roundColumn(int first, int j, int count, MemorySegment codes, long codesOffset) {
    int col = factor.columns()[first + j];
    int g = col / grid.group();
    if (when == Scales.AT_GROUP_START && col % grid.group() == 0) {
      for (int r = 0; r < count; r++) {
        scales[r * groups + g] = scaleFromHere(r, first, j);
      }
    }
    for (int r = 0; r < count; r++) {
      float scale = scales[r * groups + g];
      byte code = scale == 0 ? 0 : grid.code(part[r * PART + j], scale);
      codes.set(JAVA_BYTE, codesOffset + (long) r * cols + col, code);
      long place = errorAt(r, first + j);
      float error = Math.fma(-scale, code, errors.get(F32, place));
      errors.set(F32, place, error);
      handOn(error, r * PART, j);
    }
  }

  /// To the columns of the part.
  private void handOn(float error, int row, int j) {
    for (int c = j + 1; c < PART; c++) {
      part[row + c] = Math.fma(error, coupling[j * PART + c], part[row + c]);
    }
  }

  /// To the columns of the block behind the part.
  private void handOn(int b, int first, int count) {
    int next = first + PART;
    if (next < BLOCK) {
      accumulate(b * BLOCK + first, count, inBlock(b, first, next), PART, next, BLOCK - next);
    }
  }

  /// The scale of the group that begins here, which reaches no further than the block: columns of
  /// this part stand in `part`, those behind it in `block`.
  private float scaleFromHere(int r, int first, int j) {
    int size = grid.group();
    for (int i = 0; i < size; i++) {
      int place = (first + j + i) % BLOCK;
      group[i] =
          j + i < PART
              ? part[r * PART + j + i]
              : block.get(F32, BLOCK_ROW * r + (long) Float.BYTES * place);
    }
    System.arraycopy(factor.diagonal(), first + j, groupImportance, 0, size);
    return walk.search(group, groupImportance, 0, size);
  }
}
