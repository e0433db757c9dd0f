package smelt.calibrate.tables;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.Float4Vector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowFileReader;
import org.apache.arrow.vector.ipc.message.ArrowBlock;
import smelt.formats.BadInputException;

/// Reads runs of rows of a file that [ArrowFile] wrote; one record batch is in memory at a time.
/// For one thread.
public final class ArrowRows implements AutoCloseable {

  private final Path file;
  private final BufferAllocator allocator;
  private final FileChannel channel;
  private final ArrowFileReader reader;
  private final List<ArrowBlock> blocks;
  private int loaded = -1;

  private ArrowRows(Path file) throws IOException {
    this.file = file;
    this.allocator = new RootAllocator(ArrowFile.MEMORY);
    this.channel = FileChannel.open(file);
    this.reader = new ArrowFileReader(channel, allocator);
    this.blocks = reader.getRecordBlocks();
  }

  /// Opens a file.
  ///
  /// @param schemaName what its metadata must state, such as `sites/1`
  /// @throws BadInputException if it states something else
  public static ArrowRows open(Path file, String schemaName) throws IOException {
    ArrowRows rows = new ArrowRows(file);
    try {
      String stated = rows.metadata().getOrDefault(ArrowFile.SCHEMA, "none");
      if (!stated.equals(schemaName)) {
        throw new BadInputException(
            file.toString(),
            "a table with the schema " + stated,
            schemaName,
            "make it again with this version of the program");
      }
      return rows;
    } catch (IOException | RuntimeException e) {
      rows.close();
      throw e;
    }
  }

  /// The schema's metadata.
  public Map<String, String> metadata() throws IOException {
    return root().getSchema().getCustomMetadata();
  }

  private VectorSchemaRoot root() throws IOException {
    return reader.getVectorSchemaRoot();
  }

  /// Rows of all batches.
  public int rows() throws IOException {
    if (blocks.isEmpty()) {
      return 0;
    }
    load(blocks.size() - 1);
    return (blocks.size() - 1) * ArrowFile.BATCH + root().getRowCount();
  }

  private void load(int block) throws IOException {
    if (block != loaded) {
      loaded = -1;
      if (!reader.loadRecordBatch(blocks.get(block))) {
        throw new IOException(file + ": batch " + block + " cannot be read");
      }
      loaded = block;
    }
  }

  /// What is done with a row: `from` counts in the vector, `to` in what was asked for.
  @FunctionalInterface
  private interface RowUse<V> {
    void use(V vector, int from, int to);
  }

  private <V extends FieldVector> void each(
      String column, Class<V> type, int first, int count, RowUse<V> use) throws IOException {
    for (int row = first; row < first + count; row++) {
      load(row / ArrowFile.BATCH);
      FieldVector vector = root().getVector(column);
      if (!type.isInstance(vector)) {
        throw new BadInputException(
            file.toString(),
            vector == null ? "no column " + column : "column " + column + " of another type",
            "a column " + column,
            "make the table again with this version of the program");
      }
      use.use(type.cast(vector), row % ArrowFile.BATCH, row - first);
    }
  }

  /// Numbers of an int32 column without nulls.
  public int[] int32(String column, int first, int count) throws IOException {
    int[] out = new int[count];
    each(column, IntVector.class, first, count, (v, from, to) -> out[to] = v.get(from));
    return out;
  }

  /// Numbers of an int32 column.
  public List<OptionalInt> optionalInt32(String column, int first, int count) throws IOException {
    List<OptionalInt> out = new ArrayList<>(count);
    each(
        column,
        IntVector.class,
        first,
        count,
        (v, from, _) ->
            out.add(v.isNull(from) ? OptionalInt.empty() : OptionalInt.of(v.get(from))));
    return out;
  }

  public long[] int64(String column, int first, int count) throws IOException {
    long[] out = new long[count];
    each(column, BigIntVector.class, first, count, (v, from, to) -> out[to] = v.get(from));
    return out;
  }

  public float[] float32(String column, int first, int count) throws IOException {
    float[] out = new float[count];
    each(column, Float4Vector.class, first, count, (v, from, to) -> out[to] = v.get(from));
    return out;
  }

  /// Numbers of a float64 column; NaN where there is none.
  public double[] real(String column, int first, int count) throws IOException {
    double[] out = new double[count];
    each(
        column,
        Float8Vector.class,
        first,
        count,
        (v, from, to) -> out[to] = v.isNull(from) ? Double.NaN : v.get(from));
    return out;
  }

  /// Words of a category without nulls.
  public List<String> words(String column, int first, int count) throws IOException {
    List<String> out = new ArrayList<>(count);
    for (int index : int32(column, first, count)) {
      long id = root().getVector(column).getField().getDictionary().getId();
      VarCharVector words = (VarCharVector) reader.lookup(id).getVector();
      out.add(new String(words.get(index), StandardCharsets.UTF_8));
    }
    return out;
  }

  @Override
  public void close() throws IOException {
    try (allocator;
        channel) {
      reader.close();
    }
  }
}
