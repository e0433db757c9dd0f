package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.Function;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import smelt.converter.diff.ModelDiff;
import smelt.converter.progress.Progress;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// `smelt diff`: what two models have in common and what not. Exit code 1 if they differ.
@Command(
    name = "diff",
    mixinStandardHelpOptions = true,
    description = {
      "Compare two models: tensors to the byte, config, tokenizer and other files; or GGUF models;",
      "or packed experts as numbers.",
      "Exit code 0 if they are the same, 1 if not. How tensors are spread over shards does not count."
    })
public final class DiffCommand implements Callable<Integer> {

  private static final int SHOWN = 20;

  private final Terminal terminal;

  @Parameters(index = "0", paramLabel = "A", description = "Folder, snapshot or archive.")
  private Path a;

  @Parameters(index = "1", paramLabel = "B", description = "Folder, snapshot or archive.")
  private Path b;

  @Option(
      names = "--headers-only",
      description = "Compare types and shapes of tensors, not their bytes.")
  private boolean headersOnly;

  @Option(
      names = "--model",
      paramLabel = "MODEL",
      description = {
        "The checkpoint that packed experts belong to. Then routed experts are compared as",
        "numbers: each code and its scale, however they are packed."
      })
  private Path model;

  @Mixin private QuietOption quiet;

  @Mixin private JsonOption json;

  public DiffCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  @Override
  public Integer call() throws IOException {
    ModelDiff diff = compare();
    if (json.wanted()) {
      json.answer(terminal, json(diff));
    } else {
      text(diff);
    }
    return (diff.isEmpty() ? ExitCode.OK : ExitCode.BOUND_FAILED).code();
  }

  private ModelDiff compare() throws IOException {
    try (Compared inA = Compared.open(a, model);
        Compared inB = Compared.open(b, model);
        Progress progress = quiet.progress(terminal, "diff")) {
      return Compared.diff(inA, inB, !headersOnly, progress);
    }
  }

  private void text(ModelDiff diff) {
    list("tensors only in A", diff.onlyInA(), name -> name);
    list("tensors only in B", diff.onlyInB(), name -> name);
    list(
        "tensors of another type or shape",
        diff.headers(),
        h -> h.name() + ": " + h.inA() + " | " + h.inB());
    list(
        "tensors with other bytes",
        diff.contents(),
        c ->
            String.format(
                Locale.ROOT,
                "%s: from element %,d of %,d on",
                c.name(),
                c.element(),
                c.elements()));
    list(configTitle(diff), diff.config(), c -> c.pointer() + ": " + c.inA() + " | " + c.inB());
    list("other files", diff.files(), f -> f.name() + ": " + words(f.kind()));
    String same = headersOnly ? "tensors alike in type and shape" : "tensors the same";
    terminal.answer(String.format(Locale.ROOT, "%,d %s", diff.sameTensors(), same));
    if (diff.isEmpty()) {
      terminal.answer(Terminal.Colour.GREEN, "no difference");
    } else {
      terminal.answer(Terminal.Colour.YELLOW, "the models differ");
    }
  }

  /// JSON pointers begin with a slash, keys of GGUF metadata do not.
  private static String configTitle(ModelDiff diff) {
    boolean pointers = diff.config().stream().allMatch(key -> key.pointer().startsWith("/"));
    return pointers ? "config.json" : "metadata";
  }

  private <T> void list(String title, List<T> items, Function<T, String> line) {
    if (items.isEmpty()) {
      return;
    }
    terminal.answer(String.format(Locale.ROOT, "%s (%,d)", title, items.size()));
    items.stream().limit(SHOWN).forEach(item -> terminal.answer("  " + line.apply(item)));
    if (items.size() > SHOWN) {
      terminal.answer("  ... and " + (items.size() - SHOWN) + " more (--json lists all)");
    }
  }

  private ObjectNode json(ModelDiff diff) {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("a", a.toString());
    json.put("b", b.toString());
    json.put("equal", diff.isEmpty());
    json.put("contents_compared", !headersOnly);
    json.put("same_tensors", diff.sameTensors());
    ArrayNode onlyA = json.putArray("only_in_a");
    diff.onlyInA().forEach(onlyA::add);
    ArrayNode onlyB = json.putArray("only_in_b");
    diff.onlyInB().forEach(onlyB::add);
    ArrayNode headers = json.putArray("headers");
    diff.headers()
        .forEach(
            h -> headers.addObject().put("name", h.name()).put("a", h.inA()).put("b", h.inB()));
    ArrayNode contents = json.putArray("contents");
    diff.contents()
        .forEach(c -> contents.addObject().put("name", c.name()).put("element", c.element()));
    ArrayNode config = json.putArray("config");
    diff.config()
        .forEach(
            c -> config.addObject().put("key", c.pointer()).put("a", c.inA()).put("b", c.inB()));
    ArrayNode files = json.putArray("files");
    diff.files()
        .forEach(f -> files.addObject().put("name", f.name()).put("difference", words(f.kind())));
    return json;
  }

  private static String words(ModelDiff.Kind kind) {
    return kind.name().toLowerCase(Locale.ROOT).replace('_', ' ');
  }
}
