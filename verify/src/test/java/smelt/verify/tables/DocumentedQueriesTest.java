package smelt.verify.tables;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.apache.arrow.c.ArrowArrayStream;
import org.apache.arrow.c.Data;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.ipc.ArrowFileReader;
import org.duckdb.DuckDBConnection;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.formats.Checkout;
import smelt.verify.quality.TokenScores;

/// Runs the queries of `docs/tables.md` in DuckDB, as they stand there.
class DocumentedQueriesTest {

  private static final Pattern SQL = Pattern.compile("```sql\n(.*?)```", Pattern.DOTALL);

  @TempDir Path folder;

  private static List<String> queries() throws IOException {
    String text = Files.readString(Checkout.root().resolve("docs/tables.md"));
    return SQL.matcher(text).results().map((MatchResult m) -> m.group(1)).toList();
  }

  private static void load(DuckDBConnection duckdb, Path file, BufferAllocator allocator)
      throws IOException, SQLException {
    String table = file.getFileName().toString().replace(".arrow", "");
    try (FileChannel channel = FileChannel.open(file);
        ArrowFileReader reader = new ArrowFileReader(channel, allocator);
        ArrowArrayStream stream = ArrowArrayStream.allocateNew(allocator);
        Statement statement = duckdb.createStatement()) {
      Data.exportArrayStream(allocator, reader, stream);
      duckdb.registerArrowStream(table + "_stream", stream);
      statement.execute("CREATE TABLE " + table + " AS SELECT * FROM " + table + "_stream");
    }
  }

  private static List<List<Object>> rows(DuckDBConnection duckdb, String sql) throws SQLException {
    List<List<Object>> rows = new ArrayList<>();
    try (Statement statement = duckdb.createStatement();
        ResultSet result = statement.executeQuery(sql)) {
      while (result.next()) {
        List<Object> row = new ArrayList<>();
        for (int i = 1; i <= result.getMetaData().getColumnCount(); i++) {
          row.add(result.getObject(i));
        }
        rows.add(row);
      }
    }
    return rows;
  }

  @Test
  void answerAsTheReportSays() throws IOException, SQLException {
    int tokens = 1000;
    List<Path> files = Tables.write(folder, Reports.of(tokens));
    List<List<List<Object>>> answers = new ArrayList<>();
    try (BufferAllocator allocator = new RootAllocator();
        DuckDBConnection duckdb =
            DriverManager.getConnection("jdbc:duckdb:").unwrap(DuckDBConnection.class)) {
      for (Path file : files) {
        load(duckdb, file, allocator);
      }
      for (String query : queries()) {
        answers.add(rows(duckdb, query));
      }
    }
    assertThat(answers).hasSize(5);
    worstTensors(answers.get(0));
    roles(answers.get(1));
    assertThat(answers.get(2))
        .containsExactly(List.of(2, 40.0, 0.96, 0.002), List.of(1, 41.0, 0.97, 0.001));
    sequences(answers.get(3), Reports.of(tokens).tokens().orElseThrow());
    assertThat(answers.get(4)).hasSize(1);
    assertThat(answers.get(4).get(0).subList(0, 2)).containsExactly(2, 1L);
    assertThat(answers.get(4).get(0).get(2)).hasToString("[3]");
  }

  private static void worstTensors(List<List<Object>> rows) {
    assertThat(rows).hasSize(20);
    assertThat(rows.get(0).subList(0, 3))
        .containsExactly("model.layers.2.mlp.experts.3.DOWN", "BF16", "I8 channel");
    assertThat((Double) rows.get(0).get(3)).isCloseTo(41.48, within(1e-9));
  }

  private static void roles(List<List<Object>> rows) {
    assertThat(rows).extracting(row -> row.get(0)).containsExactly("routed_expert", "norm");
    assertThat(rows.get(1).get(3)).isEqualTo(Double.POSITIVE_INFINITY);
    assertThat(rows.get(1).get(2)).hasToString("2");
  }

  private static void sequences(List<List<Object>> rows, TokenScores scores) {
    double[] first = Arrays.copyOf(scores.kl(), scores.size() / 2);
    assertThat(rows).extracting(row -> row.get(0)).containsExactly(1, 0);
    assertThat((Double) rows.get(0).get(2))
        .isCloseTo(Arrays.stream(first).average().orElseThrow(), within(1e-12));
    assertThat((Double) rows.get(0).get(3))
        .isCloseTo((Double) rows.get(0).get(2) / 2, within(1e-12));
    assertThat((Double) rows.get(0).get(5)).isCloseTo(Math.exp(0.01), within(1e-9));
  }
}
