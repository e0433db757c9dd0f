package smelt.verify;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import smelt.formats.checkpoint.SourceTensor;
import smelt.verify.WeightForm.Coded;
import smelt.verify.WeightForm.Companion;

/// Rules on the tensors beside quantized weights.
final class CompanionRules {

  private CompanionRules() {}

  static List<Rule> rules() {
    return List.of(
        Rule.any(
            "companions-complete",
            "headers, config",
            "every quantized weight has its scales, with exact shape and type",
            CompanionRules::complete),
        Rule.any(
            "companions-belong",
            "headers, config",
            "no scale, offset or zero point lies beside a weight that has none",
            CompanionRules::belong));
  }

  private static void complete(Facts facts, Findings out) {
    if (!facts.unreadable().isEmpty()) {
      out.skip(Facts.INCOMPLETE);
      return;
    }
    for (WeightModule module : facts.quantized()) {
      if (form(facts, module) instanceof Coded coded) {
        coded.companions().forEach(companion -> complete(module, companion, out));
      }
    }
  }

  private static void complete(WeightModule module, Companion companion, Findings out) {
    Optional<SourceTensor> part = module.part(companion.part());
    String where = Facts.where(module) + "." + companion.part();
    String expected = companion.types().getFirst() + " " + shapes(companion);
    if (part.isEmpty()) {
      if (companion.required()) {
        out.fail(
            where,
            "no such tensor beside the " + module.weight().orElseThrow().type() + " weight",
            expected,
            "loaders leave the scale uninitialised, or cast the codes to BF16 unscaled:"
                + " the model answers '!!!!'");
      }
      return;
    }
    SourceTensor found = part.get();
    String what = found.type() + " " + found.shape();
    boolean shapeFits = companion.shapes().isEmpty() || companion.shapes().contains(found.shape());
    if (!shapeFits) {
      out.fail(
          where, what, expected, "loading stops on the shape, or rows get each other's scales");
    } else if (!companion.types().contains(found.type())) {
      boolean rounds = WeightForm.FLOATS.contains(found.type());
      out.add(
          rounds ? Severity.WARN : Severity.FAIL,
          ServingRuntime.all(),
          where,
          what,
          expected,
          rounds
              ? "it loads, but every weight carries the scale's rounding"
              : "the bytes are taken for numbers of another type");
    }
  }

  private static String shapes(Companion companion) {
    return companion.shapes().isEmpty()
        ? "of any shape"
        : companion.shapes().stream().map(Object::toString).collect(Collectors.joining(" or "));
  }

  private static void belong(Facts facts, Findings out) {
    if (!facts.unreadable().isEmpty()) {
      out.skip(Facts.INCOMPLETE);
      return;
    }
    for (WeightModule module : facts.modules().values()) {
      Set<String> allowed =
          switch (form(facts, module)) {
            case WeightForm.Plain _ -> Set.<String>of();
            case Coded coded ->
                coded.companions().stream().map(Companion::part).collect(Collectors.toSet());
            case WeightForm.Unknown _ -> WeightModule.COMPANIONS;
          };
      module
          .parts()
          .forEach((suffix, part) -> {
            if (WeightModule.COMPANIONS.contains(suffix) && !allowed.contains(suffix)) {
              orphan(module, part, out);
            }
          });
    }
  }

  private static void orphan(WeightModule module, SourceTensor part, Findings out) {
    out.fail(
        Facts.where(part),
        part.type() + " " + part.shape() + " beside " + beside(module),
        "no such tensor",
        "loaders skip it with a warning: the weight that it belonged to is lost or unscaled");
  }

  private static String beside(WeightModule module) {
    return module.weight().map(weight -> weight.type() + " " + weight.name()).orElse("no weight");
  }

  /// The declared form where the stored codes fit it, else what the stored tensors suggest.
  private static WeightForm form(Facts facts, WeightModule module) {
    WeightForm declared = WeightForm.declared(facts.quantization(), module);
    return switch (declared) {
      case Coded coded when module.quantized() && codesFit(coded, module) -> coded;
      case WeightForm.Unknown unknown -> unknown;
      case Coded _, WeightForm.Plain _ -> WeightForm.stored(module);
    };
  }

  static boolean codesFit(Coded coded, WeightModule module) {
    return module.part(coded.part()).filter(part -> part.type() == coded.codes()).isPresent();
  }
}
