package smelt.converter.cli;

import picocli.CommandLine.Option;
import tools.jackson.databind.JsonNode;

/// `--json`, the same for every reading command.
final class JsonOption {

  @Option(names = "--json", description = "Answer in JSON.")
  private boolean json;

  boolean wanted() {
    return json;
  }

  void answer(Terminal terminal, JsonNode node) {
    terminal.answer(JsonText.of(node));
  }
}
