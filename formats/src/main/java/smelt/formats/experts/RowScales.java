package smelt.formats.experts;

import static java.nio.ByteOrder.LITTLE_ENDIAN;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import smelt.formats.ElementType;
import smelt.formats.codec.Encoding;
import smelt.formats.experts.ExpertPacker.Region;

/// The scales of the rows of a region of a matrix of INT8 codes, where all codes of a row share
/// one: then the codes can lie in another order, or be cut for another number of NUMA nodes, and no
/// number changes.
public final class RowScales {

  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE_ENDIAN);
  private static final ValueLayout.OfShort U16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(LITTLE_ENDIAN);

  private final ElementType type;
  private final long perRow;
  private final long blockCols;

  private RowScales(ElementType type, long perRow, long blockCols) {
    this.type = type;
    this.perRow = perRow;
    this.blockCols = blockCols;
  }

  /// Two scales of codes that should share one.
  ///
  /// @param row of the matrix
  /// @param firstCol where the codes of the second begin
  public record Clash(long row, long firstCol, float first, float second) {}

  /// How scales are found; empty when a matrix has no INT8 codes, or no row has scales of its own.
  ///
  /// @param cols columns of the matrix
  public static Optional<RowScales> of(Encoding encoding, long cols) {
    return switch (encoding) {
      case Encoding.Channel(ElementType codes, ElementType scales) when codes == ElementType.I8 ->
          Optional.of(new RowScales(scales, 1, Math.max(1, cols)));
      case Encoding.Block block when block.type() == ElementType.I8 && block.blockRows() == 1 ->
          Optional.of(
              new RowScales(
                  block.scaleType(),
                  Math.ceilDiv(cols, (long) block.blockCols()),
                  block.blockCols()));
      default -> Optional.empty();
    };
  }

  /// Whether rows of this region can have several scales.
  public boolean mayClash(Region region) {
    return firstBlock(region) != lastBlock(region);
  }

  private long firstBlock(Region region) {
    return region.firstCol() / blockCols;
  }

  private long lastBlock(Region region) {
    return (region.firstCol() + region.cols() - 1) / blockCols;
  }

  /// The first row of a region whose codes do not share a scale, to the bit.
  ///
  /// @param scales all scales of the matrix
  public Optional<Clash> clash(MemorySegment scales, Region region) {
    long first = firstBlock(region);
    for (long row = region.firstRow(); row < region.firstRow() + region.rows(); row++) {
      float shared = scale(scales, row, first);
      for (long block = first + 1; block <= lastBlock(region); block++) {
        float other = scale(scales, row, block);
        if (Float.floatToRawIntBits(other) != Float.floatToRawIntBits(shared)) {
          return Optional.of(new Clash(row, block * blockCols, shared, other));
        }
      }
    }
    return Optional.empty();
  }

  /// The scale of a row of a region whose codes share one.
  public float shared(MemorySegment scales, Region region, long row) {
    return scale(scales, row, firstBlock(region));
  }

  /// Columns that share a scale.
  public long blockCols() {
    return blockCols;
  }

  /// The scale of a code.
  public float at(MemorySegment scales, long row, long col) {
    return scale(scales, row, col / blockCols);
  }

  private float scale(MemorySegment scales, long row, long block) {
    long index = row * perRow + block;
    return switch (type) {
      case F32 -> scales.get(F32, index * Float.BYTES);
      case BF16 -> Float.intBitsToFloat(scales.get(U16, index * Short.BYTES) << 16);
      case F16 -> Float.float16ToFloat(scales.get(U16, index * Short.BYTES));
      default -> throw new IllegalStateException("scales in " + type);
    };
  }
}
