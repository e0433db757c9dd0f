package smelt.formats.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import smelt.formats.BadInputException;
import smelt.formats.Checkout;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.ModelSources;

/// The verdict on every file of the conformance data is that of the reference implementation,
/// except where this reader is stricter on purpose.
class ConformanceTest {

  /// White space before `{`, a repeated key, an empty name, a repeated metadata key.
  private static final Set<String> STRICTER =
      Set.of("18_leadws", "21_dupkey_same", "46_emptyname", "48_meta_dupkey");

  @TestFactory
  Stream<DynamicTest> givesTheReferenceVerdict() throws IOException {
    Path folder = Checkout.golden("safetensors");
    Map<String, List<String>> verdicts = new TreeMap<>();
    String current = "";
    for (String line : Files.readAllLines(folder.resolve("verdicts.txt"), UTF_8)) {
      if (!line.startsWith("\t")) {
        current = line.substring(0, line.indexOf('\t'));
        verdicts.put(current, new ArrayList<>());
      }
      verdicts.get(current).add(line);
    }
    assertThat(verdicts).hasSize(50);
    return verdicts.entrySet().stream()
        .map(e ->
            DynamicTest.dynamicTest(
                e.getKey(), () -> check(folder.resolve("cases"), e.getKey(), e.getValue())));
  }

  private static void check(Path cases, String name, List<String> verdict) throws IOException {
    try (ModelSource folder = ModelSources.open(cases);
        ByteSource file = folder.open(name)) {
      if (verdict.getFirst().startsWith(name + "\tOK\t") && !STRICTER.contains(name)) {
        List<String> tensors =
            SafetensorsHeader.read(file).tensors().stream()
                .sorted((a, b) -> a.name().compareTo(b.name()))
                .map(ConformanceTest::asInVerdict)
                .toList();
        assertThat(tensors).isEqualTo(verdict.subList(1, verdict.size()));
      } else {
        assertThatThrownBy(() -> SafetensorsHeader.read(file))
            .isInstanceOf(BadInputException.class)
            .hasMessageStartingWith(name + ", ")
            .hasMessageContaining("byte ");
      }
    }
  }

  private static String asInVerdict(TensorEntry t) {
    return String.format(Locale.ROOT, "\t%s\t%s\t%s\t%d", t.name(), t.type(), t.shape(), t.bytes());
  }
}
