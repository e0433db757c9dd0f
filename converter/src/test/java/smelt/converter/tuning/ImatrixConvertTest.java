package smelt.converter.tuning;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import smelt.converter.Program;
import smelt.formats.Checkout;
import smelt.formats.imatrix.Imatrix;
import smelt.formats.imatrix.ImatrixEntry;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// Importance matrices of llama.cpp, written and taken by the real program.
class ImatrixConvertTest {

  private static final String MODEL =
      Checkout.root().resolve("samples/tiny-deepseek-v3").toString();
  private static final String STACK = "blk.1.ffn_down_exps.weight";

  @TempDir private static Path shared;
  @TempDir private Path folder;
  private static Path table;
  private static Path matrix;

  @BeforeAll
  static void calibrate() {
    table = shared.resolve("table");
    matrix = shared.resolve("imatrix.gguf");
    String corpus = Checkout.root().resolve("samples/corpora/calibration.jsonl").toString();
    Program.Result result =
        Program.run(
            "calibrate",
            MODEL,
            "--corpus",
            corpus,
            "--tokens",
            "512",
            "--imatrix",
            matrix.toString(),
            "-o",
            table.toString());
    assertThat(result.exit()).as(result.err()).isZero();
  }

  private static Imatrix read(Path file) throws IOException {
    String name = file.getFileName().toString();
    try (ModelSource files = ModelSources.files(file, file.getParent(), List.of(name));
        ByteSource source = files.open(name)) {
      return Imatrix.read(source);
    }
  }

  private Path write(SequencedMap<String, ImatrixEntry> entries, String name) throws IOException {
    Path file = folder.resolve(name);
    try (OutputStream out = Files.newOutputStream(file)) {
      Imatrix made = new Imatrix(entries, List.of("text"), 1, 512);
      if (name.endsWith(".dat")) {
        made.writeLegacy(out);
      } else {
        made.writeGguf(out);
      }
    }
    return file;
  }

  private Program.Result convert(String recipe, Path by, String out) {
    return Program.run(
        "convert",
        MODEL,
        "--recipe",
        recipe,
        "--calibration",
        by.toString(),
        "-o",
        folder.resolve(out).toString());
  }

  /// The bytes of the converted model's only file.
  private byte[] gguf(Path by, String out) throws IOException {
    Program.Result result = convert("llamacpp-q4-importance", by, out);
    assertThat(result.exit()).as(result.err()).isZero();
    try (Stream<Path> files = Files.walk(folder.resolve(out))) {
      List<Path> found = files.filter(file -> file.toString().endsWith(".gguf")).toList();
      assertThat(found).hasSize(1);
      return Files.readAllBytes(found.getFirst());
    }
  }

  private static double differing(byte[] a, byte[] b) {
    assertThat(a).hasSameSizeAs(b);
    long different = 0;
    for (int i = 0; i < a.length; i++) {
      different += a[i] == b[i] ? 0 : 1;
    }
    return (double) different / a.length;
  }

  /// Sums are means times counts, rounded: a mean read back may be off by its last bit.
  @Test
  void aMatrixGivesWhatItsTableGives() throws IOException {
    Imatrix made = read(matrix);
    assertThat(made.entries())
        .containsKeys(STACK, "blk.1.ffn_gate_exps.weight", "blk.0.ffn_down.weight");
    assertThat(made.entries().get(STACK).countSize()).isEqualTo(16);
    byte[] byTable = gguf(table, "table");
    byte[] byMatrix = gguf(matrix, "matrix");
    byte[] byOlder = gguf(write(made.entries(), "older.dat"), "older");
    TreeMap<String, ImatrixEntry> turned = new TreeMap<>(made.entries());
    turned.replaceAll((_, entry) -> reversed(entry));
    byte[] byOther = gguf(write(turned, "turned.gguf"), "turned");
    System.out.printf(
        "bytes that differ from those by the table: matrix %.2e, older kind %.2e, experts in"
            + " reverse %.2e%n",
        differing(byTable, byMatrix), differing(byTable, byOlder), differing(byTable, byOther));
    assertThat(differing(byTable, byMatrix)).isLessThan(1e-3);
    assertThat(differing(byTable, byOlder)).isLessThan(1e-3);
    assertThat(differing(byTable, byOther)).isGreaterThan(1e-2);
  }

  /// The matrices of an entry in reverse.
  private static ImatrixEntry reversed(ImatrixEntry entry) {
    int matrices = entry.countSize();
    int cols = entry.size() / matrices;
    float[] sums = new float[entry.size()];
    float[] counts = new float[matrices];
    for (int m = 0; m < matrices; m++) {
      counts[matrices - 1 - m] = entry.counts()[m];
      System.arraycopy(entry.sums(), m * cols, sums, (matrices - 1 - m) * cols, cols);
    }
    return new ImatrixEntry(sums, counts);
  }

  @Test
  void refusesSizesOfAnotherModelByTheEntry() throws IOException {
    TreeMap<String, ImatrixEntry> entries = new TreeMap<>(read(matrix).entries());
    entries.put(STACK, new ImatrixEntry(new float[8 * 256], new float[8]));
    Program.Result result = convert("llamacpp-q4-importance", write(entries, "wrong.gguf"), "out");
    assertThat(result.exit()).isEqualTo(3);
    assertThat(result.err()).contains(STACK).contains("2048 sums").contains("16 x ");
    assertThat(folder.resolve("out")).doesNotExist();
    entries.clear();
    entries.put("blk.77.ffn_up.weight", new ImatrixEntry(new float[4], new float[1]));
    Program.Result none = convert("llamacpp-q4-importance", write(entries, "none.dat"), "out");
    assertThat(none.exit()).isEqualTo(3);
  }

  @Test
  void refusesAMatrixWhereSecondMomentsAreWanted() {
    Program.Result result = convert("kt-amx-int4-gptq", matrix, "out");
    assertThat(result.exit()).isEqualTo(3);
    assertThat(result.err()).contains("chosen by more").contains("smelt calibrate");
  }
}
