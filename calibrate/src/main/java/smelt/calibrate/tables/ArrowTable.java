package smelt.calibrate.tables;

import java.io.IOException;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeSet;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.BaseFixedWidthVector;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.BitVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.Float4Vector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.dictionary.Dictionary;
import org.apache.arrow.vector.dictionary.DictionaryProvider.MapDictionaryProvider;
import org.apache.arrow.vector.ipc.ArrowFileWriter;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.DictionaryEncoding;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;

/// Writes one table as an Arrow IPC file, uncompressed, in batches. The same table gives the same
/// bytes: memory is cleared before it is filled, so that nothing else lies under a null.
final class ArrowTable {

  private static final ArrowType.Int INDEX = new ArrowType.Int(Integer.SIZE, true);

  private final Table table;
  private final BufferAllocator allocator;
  private final Map<String, Map<String, Integer>> words = new HashMap<>();
  private final List<FieldVector> dictionaries = new ArrayList<>();

  private ArrowTable(Table table, BufferAllocator allocator) {
    this.table = table;
    this.allocator = allocator;
  }

  /// @param metadata goes into the schema
  static void write(
      Table table,
      Map<String, String> metadata,
      BufferAllocator allocator,
      WritableByteChannel channel)
      throws IOException {
    new ArrowTable(table, allocator).write(metadata, channel);
  }

  private void write(Map<String, String> metadata, WritableByteChannel channel) throws IOException {
    try (MapDictionaryProvider provider = new MapDictionaryProvider()) {
      List<Field> fields = new ArrayList<>();
      for (Column column : table.columns()) {
        fields.add(field(column, provider));
      }
      try (VectorSchemaRoot root =
              VectorSchemaRoot.create(new Schema(fields, metadata), allocator);
          ArrowFileWriter writer = new ArrowFileWriter(root, provider, channel)) {
        writer.start();
        for (int first = 0; first < table.rows(); first += ArrowFile.BATCH) {
          fill(root, first, Math.min(ArrowFile.BATCH, table.rows() - first));
          writer.writeBatch();
        }
        writer.end();
      }
    } finally {
      dictionaries.forEach(FieldVector::close);
    }
  }

  private Field field(Column column, MapDictionaryProvider provider) {
    if (!(column instanceof Column.Category category)) {
      FieldType type = new FieldType(column.nullable(), column.type(), null);
      return new Field(column.name(), type, null);
    }
    DictionaryEncoding encoding = new DictionaryEncoding(dictionaries.size(), false, INDEX);
    provider.put(new Dictionary(dictionary(category), encoding));
    return new Field(column.name(), new FieldType(true, INDEX, encoding), null);
  }

  /// All words of a column, sorted.
  private VarCharVector dictionary(Column.Category category) {
    TreeSet<String> sorted = new TreeSet<>();
    for (int row = 0; row < table.rows(); row++) {
      category.value().apply(row).ifPresent(sorted::add);
    }
    VarCharVector vector = new VarCharVector(category.name(), allocator);
    dictionaries.add(vector);
    vector.allocateNew();
    Map<String, Integer> indices = new HashMap<>();
    for (String word : sorted) {
      vector.setSafe(indices.size(), word.getBytes(StandardCharsets.UTF_8));
      indices.put(word, indices.size());
    }
    vector.setValueCount(indices.size());
    words.put(category.name(), indices);
    return vector;
  }

  private void fill(VectorSchemaRoot root, int first, int count) {
    for (int c = 0; c < table.columns().size(); c++) {
      FieldVector vector = root.getVector(c);
      vector.setInitialCapacity(count);
      vector.allocateNew();
      if (vector instanceof BaseFixedWidthVector fixed) {
        fixed.zeroVector();
      }
      fill(table.columns().get(c), vector, first, count);
      vector.setValueCount(count);
    }
    root.setRowCount(count);
  }

  private void fill(Column column, FieldVector vector, int first, int count) {
    switch (column) {
      case Column.Text text -> {
        VarCharVector to = (VarCharVector) vector;
        for (int i = 0; i < count; i++) {
          to.setSafe(i, text.value().apply(first + i).getBytes(StandardCharsets.UTF_8));
        }
      }
      case Column.Category category -> fill(category, (IntVector) vector, first, count);
      case Column.Int32 number -> {
        IntVector to = (IntVector) vector;
        for (int i = 0; i < count; i++) {
          to.set(i, number.value().applyAsInt(first + i));
        }
      }
      case Column.OptionalInt32 number -> fill(number, (IntVector) vector, first, count);
      case Column.Int64 number -> {
        BigIntVector to = (BigIntVector) vector;
        for (int i = 0; i < count; i++) {
          to.set(i, number.value().applyAsLong(first + i));
        }
      }
      case Column.Real number -> fill(number, (Float8Vector) vector, first, count);
      case Column.Float32 number -> {
        Float4Vector to = (Float4Vector) vector;
        for (int i = 0; i < count; i++) {
          to.set(i, number.value().applyAsFloat(first + i));
        }
      }
      case Column.Flag flag -> {
        BitVector to = (BitVector) vector;
        for (int i = 0; i < count; i++) {
          to.set(i, flag.value().test(first + i) ? 1 : 0);
        }
      }
    }
  }

  private void fill(Column.Category column, IntVector to, int first, int count) {
    Map<String, Integer> indices = words.get(column.name());
    for (int i = 0; i < count; i++) {
      Optional<String> word = column.value().apply(first + i);
      if (word.isPresent()) {
        to.set(i, indices.get(word.get()));
      }
    }
  }

  private static void fill(Column.OptionalInt32 column, IntVector to, int first, int count) {
    for (int i = 0; i < count; i++) {
      OptionalInt value = column.value().apply(first + i);
      if (value.isPresent()) {
        to.set(i, value.getAsInt());
      }
    }
  }

  private static void fill(Column.Real column, Float8Vector to, int first, int count) {
    for (int i = 0; i < count; i++) {
      double value = column.value().applyAsDouble(first + i);
      if (!Double.isNaN(value)) {
        to.set(i, value);
      }
    }
  }
}
