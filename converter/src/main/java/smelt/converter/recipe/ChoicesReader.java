package smelt.converter.recipe;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import smelt.converter.DidYouMean;
import smelt.converter.gguf.GgufOptions;
import smelt.formats.experts.ExpertPacker;
import smelt.formats.gguf.GgmlType;

/// Reads the choices of targets that are no checkpoints: `numa` and `rule` of experts in the order
/// of a CPU's kernels, `type` of GGUF.
final class ChoicesReader {

  private static final List<String> TYPES =
      Stream.of(GgmlType.values()).filter(GgufOptions::canWrite).map(ChoicesReader::name).toList();

  private final Mistakes mistakes;

  ChoicesReader(Mistakes mistakes) {
    this.mistakes = mistakes;
  }

  /// One for each number under `numa`; the default where the key is not there.
  List<ExpertChoices> experts(Fields fields) {
    ExpertPacker.Rule rule =
        fields.choice(
            "rule",
            Map.of("exact", ExpertPacker.Rule.EXACT, "upstream", ExpertPacker.Rule.UPSTREAM),
            ExpertPacker.Rule.EXACT);
    List<ExpertChoices> choices = new ArrayList<>();
    for (YamlNode item : fields.items("numa")) {
      nodes(item).ifPresent(nodes -> choices.add(new ExpertChoices(nodes, rule)));
    }
    return choices.isEmpty() ? List.of(new ExpertChoices(1, rule)) : choices;
  }

  private Optional<Integer> nodes(YamlNode item) {
    if (item instanceof YamlNode.Scalar scalar && scalar.text().matches("[1-9][0-9]?")) {
      int nodes = Integer.parseInt(scalar.text());
      if (nodes <= ExpertChoices.MOST_NODES) {
        return Optional.of(nodes);
      }
    }
    mistakes.add(
        item.line(),
        "numa: " + item.kind(),
        "a number of NUMA nodes from 1 to " + ExpertChoices.MOST_NODES + ", or a list of them",
        "write for example 'numa: 2'");
    return Optional.empty();
  }

  /// The default where the key `type` is not there.
  GgufOptions gguf(Fields fields) {
    Optional<YamlNode.Scalar> type = fields.scalar("type", "a type of GGUF");
    if (type.isEmpty()) {
      return TargetSpec.DEFAULT_GGUF;
    }
    String text = type.get().text();
    if (TYPES.contains(text)) {
      return GgufOptions.of(GgmlType.valueOf(text.toUpperCase(Locale.ROOT)));
    }
    mistakes.add(
        type.get().line(),
        "type: " + type.get().kind(),
        "one of " + String.join(", ", TYPES),
        DidYouMean.remedy(text, TYPES, "write one of them"));
    return TargetSpec.DEFAULT_GGUF;
  }

  private static String name(GgmlType type) {
    return type.name().toLowerCase(Locale.ROOT);
  }
}
