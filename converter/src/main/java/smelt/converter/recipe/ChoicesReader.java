package smelt.converter.recipe;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;
import smelt.converter.DidYouMean;
import smelt.converter.gguf.GgufOptions;
import smelt.converter.gguf.GgufTypes;
import smelt.converter.gguf.LatentForm;
import smelt.converter.recipe.ExpertChoices.Form;
import smelt.formats.experts.ExpertPacker;
import smelt.formats.gguf.GgmlType;

/// Reads the choices of targets that are no checkpoints: `numa`, `form` and `rule` of experts in
/// the order of a CPU's kernels, `type`, `types` and `kv_b` of GGUF.
final class ChoicesReader {

  /// Types of single weights.
  private static final List<String> TYPES =
      Stream.of(GgmlType.values()).filter(GgufTypes::canWrite).map(ChoicesReader::name).toList();

  /// Types of all weights.
  private static final List<String> WHOLE =
      TYPES.stream().filter(name -> !name.matches(".*_r[0-9]+")).toList();

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
    Form form =
        fields.choice("form", Map.of("merged", Form.MERGED, "tree", Form.TREE), Form.MERGED);
    List<ExpertChoices> choices = new ArrayList<>();
    for (YamlNode item : fields.items("numa")) {
      nodes(item).ifPresent(nodes -> choices.add(new ExpertChoices(nodes, form, rule)));
    }
    return choices.isEmpty() ? List.of(new ExpertChoices(1, form, rule)) : choices;
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

  /// The default for what is not there.
  ///
  /// @param selectors what reads a role or an expression
  GgufOptions gguf(Fields fields, Function<YamlNode.Scalar, Optional<Selector>> selectors) {
    GgmlType linear =
        fields
            .scalar("type", "a type of GGUF")
            .flatMap(scalar -> type(scalar, WHOLE))
            .orElse(TargetSpec.DEFAULT_GGUF.types().linear());
    List<GgufTypes.Rule> rules = new ArrayList<>();
    switch (fields.node("types").orElse(null)) {
      case null -> {}
      case YamlNode.Mapping map -> {
        for (YamlNode.Entry entry : map.entries()) {
          rule(entry, selectors).ifPresent(rules::add);
        }
      }
      case YamlNode other ->
          mistakes.add(
              other.line(),
              "types: " + other.kind(),
              "a map from roles to types",
              "write for example 'types: {attention.q_b: f16}'");
    }
    LatentForm latent =
        fields.choice(
            "kv_b", Map.of("split", LatentForm.SPLIT, "fused", LatentForm.FUSED), LatentForm.SPLIT);
    return new GgufOptions(new GgufTypes(linear, rules), Optional.empty(), latent);
  }

  private Optional<GgufTypes.Rule> rule(
      YamlNode.Entry entry, Function<YamlNode.Scalar, Optional<Selector>> selectors) {
    Optional<Selector> selector = selectors.apply(new YamlNode.Scalar(entry.key(), entry.line()));
    if (entry.value() instanceof YamlNode.Scalar scalar) {
      Optional<GgmlType> type = type(scalar, TYPES);
      return selector.flatMap(s -> type.map(t -> new GgufTypes.Rule(s, t)));
    }
    mistakes.add(
        entry.line(), entry.key() + ": " + entry.value().kind(), "a type of GGUF", "write one");
    return Optional.empty();
  }

  private Optional<GgmlType> type(YamlNode.Scalar scalar, List<String> types) {
    String text = scalar.text();
    if (types.contains(text)) {
      return Optional.of(GgmlType.valueOf(text.toUpperCase(Locale.ROOT)));
    }
    mistakes.add(
        scalar.line(),
        "type: " + scalar.kind(),
        "one of " + String.join(", ", types),
        TYPES.contains(text)
            ? "write it under types, for routed_expert: rows are interleaved for nothing else"
            : DidYouMean.remedy(text, types, "write one of them"));
    return Optional.empty();
  }

  private static String name(GgmlType type) {
    return type.name().toLowerCase(Locale.ROOT);
  }
}
