package smelt.verify;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import smelt.formats.Checkout;

class ReadmeTest {

  @Test
  void listsTheRulesAsTheyAre() throws IOException {
    String table =
        Check.rules().stream()
            .map(rule ->
                "| `%s` | %s | %s | %s |\n"
                    .formatted(rule.name(), rule.runtimeLabels(), rule.reads(), rule.meaning()))
            .collect(Collectors.joining());
    assertThat(Files.readString(Checkout.root().resolve("verify/README.md"))).contains(table);
  }
}
