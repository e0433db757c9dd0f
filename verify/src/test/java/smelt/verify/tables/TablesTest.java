package smelt.verify.tables;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.ValueVector;
import org.apache.arrow.vector.dictionary.Dictionary;
import org.apache.arrow.vector.dictionary.DictionaryEncoder;
import org.apache.arrow.vector.ipc.ArrowFileReader;
import org.apache.arrow.vector.types.pojo.Schema;
import org.apache.arrow.vector.util.Text;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.calibrate.tables.ArrowFile;
import smelt.calibrate.tables.Column;
import smelt.calibrate.tables.Table;
import smelt.formats.Checkout;
import smelt.verify.quality.TokenScores;

class TablesTest {

  /// A row of the tables of columns in the documentation.
  private static final Pattern COLUMN =
      Pattern.compile("\\| `(\\w+)` \\| (\\w+) \\| (yes|no) \\| .+ \\|");

  @TempDir Path folder;

  /// A file as Arrow's own reader sees it: rows as maps, in order.
  private record Content(Schema schema, List<Map<String, Object>> rows, int batches) {}

  private static Content read(Path file) throws IOException {
    List<Map<String, Object>> rows = new ArrayList<>();
    try (BufferAllocator allocator = new RootAllocator();
        FileChannel channel = FileChannel.open(file);
        ArrowFileReader reader = new ArrowFileReader(channel, allocator)) {
      int batches = 0;
      while (reader.loadNextBatch()) {
        batches++;
        int first = rows.size();
        int count = reader.getVectorSchemaRoot().getRowCount();
        IntStream.range(0, count).forEach(_ -> rows.add(new LinkedHashMap<>()));
        for (FieldVector vector : reader.getVectorSchemaRoot().getFieldVectors()) {
          addColumn(reader, vector, rows.subList(first, first + count));
        }
      }
      return new Content(reader.getVectorSchemaRoot().getSchema(), rows, batches);
    }
  }

  private static void addColumn(
      ArrowFileReader reader, FieldVector vector, List<Map<String, Object>> rows)
      throws IOException {
    if (vector.getField().getDictionary() == null) {
      IntStream.range(0, rows.size())
          .forEach(i -> rows.get(i).put(vector.getName(), value(vector.getObject(i))));
      return;
    }
    Dictionary dictionary =
        reader.getDictionaryVectors().get(vector.getField().getDictionary().getId());
    try (ValueVector words = DictionaryEncoder.decode(vector, dictionary)) {
      IntStream.range(0, rows.size())
          .forEach(i -> rows.get(i).put(vector.getName(), value(words.getObject(i))));
    }
  }

  private static Object value(Object value) {
    return value instanceof Text text ? text.toString() : value;
  }

  private static List<Object> column(Content content, String name) {
    return content.rows().stream().map(row -> row.get(name)).toList();
  }

  @Test
  void tensorsAreReadBackSorted() throws IOException {
    Tables.write(folder, Reports.of(10));
    Content tensors = read(folder.resolve("tensors.arrow"));
    assertThat(tensors.rows()).hasSize(26);
    assertThat(tensors.rows().get(0))
        .containsEntry("tensor", "model.norm.weight")
        .containsEntry("layer", null)
        .containsEntry("projection", null)
        .containsEntry("bit_exact", true)
        .containsEntry("sqnr_db", Double.POSITIVE_INFINITY)
        .containsEntry("scale_min", null);
    assertThat(tensors.rows().get(1)).containsEntry("layer", 0).containsEntry("role", "norm");
    assertThat(tensors.rows().get(25))
        .containsEntry("layer", 2)
        .containsEntry("expert", 3)
        .containsEntry("dst_encoding", "I8 channel")
        .containsEntry("params", 4096L)
        .containsEntry("clip_ratio", 0.0078125)
        .containsEntry("scale_max", 2e-4);
    assertThat(column(tensors, "expert").subList(2, 8)).containsExactly(0, 0, 0, 1, 1, 1);
  }

  @Test
  void layersWithoutExpertsHaveNulls() throws IOException {
    Tables.write(folder, Reports.of(10));
    Content layers = read(folder.resolve("layers.arrow"));
    assertThat(column(layers, "layer")).containsExactly(0, 1, 2);
    assertThat(column(layers, "router_mass_overlap")).containsExactly(null, 0.97, 0.96);
    assertThat(column(layers, "local_sqnr_db")).containsExactly(42.0, 41.0, 40.0);
  }

  @Test
  void tokensFillSeveralBatches() throws IOException {
    int count = ArrowFile.BATCH + 1001;
    Tables.write(folder, Reports.of(count));
    TokenScores scores = Reports.of(count).tokens().orElseThrow();
    Content tokens = read(folder.resolve("tokens.arrow"));
    assertThat(tokens.batches()).isEqualTo(2);
    assertThat(tokens.rows()).hasSize(count);
    int second = count / 2;
    assertThat(tokens.rows().get(0))
        .containsEntry("sequence", 0)
        .containsEntry("kl", scores.kl()[second])
        .containsEntry("top1_same", scores.sameTop()[second]);
    assertThat(tokens.rows().get(count - 1))
        .containsEntry("sequence", 1)
        .containsEntry("target", scores.target()[second - 1])
        .containsEntry("ref_logprob", scores.logP()[second - 1]);
    double sum = tokens.rows().stream().mapToDouble(row -> (Double) row.get("forced_kl")).sum();
    assertThat(sum).isCloseTo(Arrays.stream(scores.forcedKl()).sum(), within(1e-8));
  }

  @Test
  void expertsHaveTheirShareOfTheLayer() throws IOException {
    Tables.write(folder, Reports.of(10));
    Content experts = read(folder.resolve("experts.arrow"));
    assertThat(column(experts, "expert")).containsExactly(0, 1, 2, 3, 0, 1, 2, 3);
    assertThat(column(experts, "hit_ratio").subList(0, 4)).containsExactly(0.1, 0.2, 0.3, 0.4);
    assertThat(experts.rows().get(7)).containsEntry("tokens", 0L).containsEntry("hit_ratio", 0.0);
  }

  @Test
  void withoutInferenceThereAreEmptyTables() throws IOException {
    Tables.write(folder, Reports.of(10));
    Tables.write(folder, Reports.withoutInference());
    for (String name : List.of("layers", "tokens", "experts")) {
      assertThat(read(folder.resolve(name + ".arrow")).rows()).as(name).isEmpty();
    }
    assertThat(read(folder.resolve("tensors.arrow")).rows()).hasSize(26);
  }

  @Test
  void aNanIsWrittenAsNull() throws IOException {
    Table table = new Table("t", 1, 2, List.of(new Column.Real("x", i -> i == 0 ? Double.NaN : 1)));
    Path file = folder.resolve("t.arrow");
    ArrowFile.write(table, Map.of(), file);
    assertThat(column(read(file), "x")).containsExactly(null, 1.0);
  }

  @Test
  void theSameReportGivesTheSameBytesAndNothingElse() throws IOException {
    List<Path> first = Tables.write(folder.resolve("a"), Reports.of(70_000));
    List<Path> second = Tables.write(folder.resolve("b"), Reports.of(70_000));
    for (int i = 0; i < first.size(); i++) {
      assertThat(Files.mismatch(first.get(i), second.get(i))).as("" + first.get(i)).isEqualTo(-1);
    }
    try (Stream<Path> files = Files.list(folder.resolve("a"))) {
      assertThat(files).containsExactlyInAnyOrderElementsOf(first);
    }
  }

  @Test
  void metadataNamesTheTableAndTheModels() throws IOException {
    Tables.write(folder, Reports.of(1));
    assertThat(read(folder.resolve("layers.arrow")).schema().getCustomMetadata())
        .isEqualTo(
            Map.of(
                "smelt.schema", "layers/1",
                "smelt.version", "0.1.0",
                "smelt.source", "tiny",
                "smelt.result", "tiny-int8",
                "smelt.scheme", "INT8 per channel",
                "smelt.activations", "INT8 per token",
                "smelt.profile", "w8a8"));
  }

  @Test
  void theDocumentedColumnsAreThoseThatAreWritten() throws IOException {
    List<String> documented = new ArrayList<>();
    String table = "";
    for (String line : Files.readAllLines(Checkout.root().resolve("docs/tables.md"))) {
      if (line.startsWith("## ")) {
        table = line.substring(3);
        continue;
      }
      Matcher row = COLUMN.matcher(line);
      if (row.matches()) {
        documented.add(String.join(" ", table, row.group(1), row.group(2), row.group(3)));
      }
    }
    List<String> written = new ArrayList<>();
    for (Table t : Schemas.of(Reports.of(1))) {
      for (Column c : t.columns()) {
        String type = c instanceof Column.Category ? "category" : word(c);
        String isNull = c.nullable() ? "yes" : "no";
        written.add(String.join(" ", t.name(), c.name(), type, isNull));
      }
    }
    assertThat(documented).isEqualTo(written);
  }

  private static String word(Column column) {
    return switch (column.type().getTypeID()) {
      case Utf8 -> "utf8";
      case Bool -> "bool";
      case FloatingPoint -> "float64";
      case Int -> column instanceof Column.Int64 ? "int64" : "int32";
      default -> "" + column.type();
    };
  }
}
