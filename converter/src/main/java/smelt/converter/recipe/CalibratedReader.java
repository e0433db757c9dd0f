package smelt.converter.recipe;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Stream;
import smelt.calibrate.smooth.Pair;
import smelt.converter.DidYouMean;
import smelt.converter.target.Target;
import smelt.formats.experts.ExpertPacker;

/// Reads what a recipe has chosen from a calibration: `solver`, `smooth`, `importance` and
/// `activations`.
final class CalibratedReader {

  private static final String USUAL = "usual";
  private static final List<String> KINDS =
      Stream.concat(Stream.of(USUAL), EnumSet.allOf(Pair.Kind.class).stream().map(Pair.Kind::label))
          .toList();

  private final Mistakes mistakes;

  CalibratedReader(Mistakes mistakes) {
    this.mistakes = mistakes;
  }

  /// @param selectors what reads a role or an expression
  Calibrated read(Fields fields, Function<YamlNode.Scalar, Optional<Selector>> selectors) {
    return new Calibrated(
        solvers(fields, selectors),
        smooth(fields),
        fields.choice("importance", Map.of("true", true, "false", false), false),
        fields.choice("activations", Map.of("static", true, "dynamic", false), false));
  }

  private List<Calibrated.Rule> solvers(
      Fields fields, Function<YamlNode.Scalar, Optional<Selector>> selectors) {
    List<Calibrated.Rule> rules = new ArrayList<>();
    switch (fields.node("solver").orElse(null)) {
      case null -> {}
      case YamlNode.Scalar one ->
          solver(one).map(s -> new Calibrated.Rule(Optional.empty(), s)).ifPresent(rules::add);
      case YamlNode.Mapping map -> {
        for (YamlNode.Entry entry : map.entries()) {
          rule(entry, selectors).ifPresent(rules::add);
        }
      }
      case YamlNode other ->
          mistakes.add(
              other.line(),
              "solver: " + other.kind(),
              "one of " + String.join(", ", Solver.labels()) + ", or a map from roles to them",
              "write for example 'solver: {routed_expert: gptq}'");
    }
    return rules;
  }

  private Optional<Calibrated.Rule> rule(
      YamlNode.Entry entry, Function<YamlNode.Scalar, Optional<Selector>> selectors) {
    Optional<Selector> selector = selectors.apply(new YamlNode.Scalar(entry.key(), entry.line()));
    if (entry.value() instanceof YamlNode.Scalar scalar) {
      Optional<Solver> solver = solver(scalar);
      return selector.flatMap(s -> solver.map(v -> new Calibrated.Rule(Optional.of(s), v)));
    }
    mistakes.add(entry.line(), entry.key() + ": " + entry.value().kind(), "a solver", "write one");
    return Optional.empty();
  }

  private Optional<Solver> solver(YamlNode.Scalar scalar) {
    Optional<Solver> solver = Solver.of(scalar.text());
    if (solver.isEmpty()) {
      mistakes.add(
          scalar.line(),
          "solver: " + scalar.kind(),
          "one of " + String.join(", ", Solver.labels()),
          DidYouMean.remedy(scalar.text(), Solver.labels(), "write one of them"));
    }
    return solver;
  }

  private Set<Pair.Kind> smooth(Fields fields) {
    Set<Pair.Kind> kinds = EnumSet.noneOf(Pair.Kind.class);
    for (YamlNode item : fields.items("smooth")) {
      String text = item instanceof YamlNode.Scalar scalar ? scalar.text() : "";
      Optional<Pair.Kind> kind = Pair.Kind.of(text);
      if (text.equals(USUAL)) {
        kinds.addAll(Pair.Kind.usual());
      } else if (kind.isPresent()) {
        kinds.add(kind.get());
      } else {
        mistakes.add(
            item.line(),
            "smooth: " + item.kind(),
            "of " + String.join(", ", KINDS),
            DidYouMean.remedy(text, KINDS, "write some of them"));
      }
    }
    return kinds;
  }

  /// Notes what the target has no choice of.
  void checkAllowed(Fields fields, Target target, ExpertPacker.Rule rule) {
    if (!TargetSpec.choosesSolver(target)) {
      refuse(
          fields, "solver", target, "it has no scale for each row or group that could be chosen");
    }
    if (TargetSpec.choosesSolver(target) && !TargetSpec.hasOneScaleARow(target)) {
      noFittedScales(fields, target);
    }
    if (rule == ExpertPacker.Rule.UPSTREAM) {
      refuse(fields, "solver", target, "the rule 'upstream' says what codes and scales are");
    }
    if (fields.node("smooth").isPresent()) {
      String why = "inputs were measured as they are without smoothing; take one of the two";
      refuse(fields, "solver", target, why);
      refuse(fields, "importance", target, why);
      if (fields.node("activations").orElse(null) instanceof YamlNode.Scalar scalar
          && scalar.text().equals("static")) {
        refuse(fields, "activations", target, why);
      }
    }
    if (target == Target.BF16) {
      refuse(fields, "smooth", target, "bf16 quantizes nothing");
    }
    if (target.kind() == Target.Kind.EXPERTS) {
      smoothOfExperts(fields, target);
    }
    if (target != Target.ASCEND_W8A8) {
      refuse(fields, "activations", target, "only ascend-w8a8 has a choice");
    }
    if (target.kind() != Target.Kind.GGUF) {
      refuse(fields, "importance", target, "only blocks of gguf are chosen so; take a solver");
    }
  }

  /// A solver that fits scales has one a row to fit; in groups with BF16 scales the factor, within
  /// a percent of 1, is lost in their rounding.
  private void noFittedScales(Fields fields, Target target) {
    Stream<YamlNode.Scalar> named =
        switch (fields.node("solver").orElse(null)) {
          case YamlNode.Scalar one -> Stream.of(one);
          case YamlNode.Mapping map ->
              map.entries().stream()
                  .map(YamlNode.Entry::value)
                  .filter(YamlNode.Scalar.class::isInstance)
                  .map(YamlNode.Scalar.class::cast);
          case null, default -> Stream.empty();
        };
    named
        .filter(name -> Solver.of(name.text()).filter(Solver::rescales).isPresent())
        .forEach(name ->
            mistakes.add(
                name.line(),
                "solver: " + name.text() + " for " + target.label(),
                "a target with one scale for each row",
                "write '" + name.text().replace("-rescale", "") + "'"));
  }

  /// What is no expert stays in the checkpoint that is served beside them.
  private void smoothOfExperts(Fields fields, Target target) {
    for (YamlNode item : fields.items("smooth")) {
      if (!(item instanceof YamlNode.Scalar scalar)
          || !scalar.text().equals(Pair.Kind.UP_DOWN.label())) {
        mistakes.add(
            item.line(),
            "smooth: " + item.kind() + " for " + target.label(),
            Pair.Kind.UP_DOWN.label() + ": the other weights of a pair are not in these files",
            "keep that one alone");
      }
    }
  }

  private void refuse(Fields fields, String key, Target target, String why) {
    fields
        .node(key)
        .ifPresent(node ->
            mistakes.add(
                node.line(), key + " for " + target.label(), "none: " + why, "remove the key"));
  }
}
