package smelt.converter.recipe;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import smelt.converter.ByteSize;
import smelt.converter.DidYouMean;
import smelt.converter.gguf.GgufOptions;
import smelt.converter.target.Target;
import smelt.formats.codec.ScaleFormat;

/// Reads a recipe from YAML, and names all that is wrong with it at once.
final class RecipeReader {

  static final long DEFAULT_SHARD_SIZE = Recipe.DEFAULT_SHARD_SIZE;

  private static final List<String> KEYS =
      List.of("name", "description", "targets", "mtp", "copy_code", "shard_size", "bounds");
  private static final List<String> TARGET_KEYS =
      List.of(
          "target",
          "scales",
          "keep",
          "quantize",
          "bounds",
          "numa",
          "form",
          "rule",
          "type",
          "types",
          "solver",
          "smooth",
          "importance",
          "activations",
          "kv_b");
  private static final List<String> TARGET_NAMES =
      Stream.of(Target.values()).map(Target::label).toList();
  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}");

  private final String file;
  private final Mistakes mistakes;
  private final Map<String, Integer> targetLines = new HashMap<>();

  private RecipeReader(String file) {
    this.file = file;
    this.mistakes = new Mistakes(file);
  }

  /// @param file the file's name, for messages
  /// @throws RecipeException naming every problem with its line
  static Recipe read(String file, String text) {
    return new RecipeReader(file).recipe(YamlNode.read(file, text));
  }

  private Recipe recipe(YamlNode root) {
    if (!(root instanceof YamlNode.Mapping map)) {
      throw new RecipeException(
          file + " line " + root.line(), root.kind(), "a map with the key targets", "write one");
    }
    Fields fields = new Fields(mistakes, map, KEYS);
    String name = name(fields, map.line());
    String description =
        fields.scalar("description", "a text").map(YamlNode.Scalar::text).orElse("");
    List<TargetSpec> targets = targets(fields, map.line());
    MtpPolicy mtp =
        fields.choice(
            "mtp", Map.of("keep", MtpPolicy.KEEP, "drop", MtpPolicy.DROP), MtpPolicy.KEEP);
    boolean copyCode = fields.choice("copy_code", Map.of("true", true, "false", false), false);
    long shardSize = shardSize(fields);
    List<TargetSpec> bounded = bounded(fields, targets);
    mistakes.refuse();
    return new Recipe(name, description, bounded, mtp, copyCode, shardSize);
  }

  /// Bounds of the whole recipe hold for the targets that have none of their own.
  private List<TargetSpec> bounded(Fields fields, List<TargetSpec> targets) {
    return new BoundsReader(mistakes)
        .read(fields)
        .map(bounds -> targets.stream().map(target -> target.withBounds(bounds)).toList())
        .orElse(targets);
  }

  private String name(Fields fields, int line) {
    String expected = "a name of letters, digits, '.', '_' and '-'";
    Optional<YamlNode.Scalar> name = fields.scalar("name", expected);
    if (fields.node("name").isEmpty()) {
      mistakes.add(line, "no name", expected, "add 'name: my-recipe'");
    }
    name.filter(scalar -> !NAME.matcher(scalar.text()).matches())
        .ifPresent(scalar ->
            mistakes.add(scalar.line(), "name: " + scalar.kind(), expected, "choose one"));
    return name.map(YamlNode.Scalar::text).orElse("");
  }

  private long shardSize(Fields fields) {
    Optional<YamlNode.Scalar> scalar = fields.scalar("shard_size", ByteSize.EXPECTED);
    if (scalar.isEmpty()) {
      return DEFAULT_SHARD_SIZE;
    }
    OptionalLong size = ByteSize.parse(scalar.get().text());
    if (size.isEmpty() || size.getAsLong() == 0) {
      String found = "shard_size: " + scalar.get().kind();
      mistakes.add(scalar.get().line(), found, ByteSize.EXPECTED, "write for example 4GiB");
      return DEFAULT_SHARD_SIZE;
    }
    return size.getAsLong();
  }

  private List<TargetSpec> targets(Fields fields, int line) {
    List<YamlNode> items = fields.items("targets");
    if (items.isEmpty()) {
      String expected = "at least one of " + String.join(", ", TARGET_NAMES);
      int where = fields.node("targets").map(YamlNode::line).orElse(line);
      mistakes.add(where, "no target", expected, "add 'targets: [int8-channel]'");
    }
    return items.stream().flatMap(item -> once(target(fields, item), item).stream()).toList();
  }

  private List<TargetSpec> target(Fields fields, YamlNode item) {
    return switch (item) {
      case YamlNode.Scalar name -> targetNamed(name).map(TargetSpec::of).stream().toList();
      case YamlNode.Mapping map -> targetWithChoices(fields.inner(map, TARGET_KEYS), map);
      case YamlNode.Sequence _, YamlNode.Nothing _ -> {
        mistakes.add(
            item.line(), item.kind(), "a target's name, or a map with the key target", "write one");
        yield List.of();
      }
    };
  }

  /// Leaves out what an entry before has named with the same choices.
  private List<TargetSpec> once(List<TargetSpec> specs, YamlNode item) {
    List<TargetSpec> first = new ArrayList<>();
    for (TargetSpec spec : specs) {
      Integer before = targetLines.putIfAbsent(spec.name(), item.line());
      if (before == null) {
        first.add(spec);
      } else {
        mistakes.add(
            item.line(),
            "target " + spec.name() + " again (first in line " + before + ")",
            "each target once",
            "keep one, or write a second recipe");
      }
    }
    return first;
  }

  private Optional<Target> targetNamed(YamlNode.Scalar name) {
    Optional<Target> target = Target.named(name.text());
    if (target.isEmpty()) {
      mistakes.add(
          name.line(),
          "unknown target " + name.kind(),
          "one of " + String.join(", ", TARGET_NAMES),
          DidYouMean.remedy(name.text(), TARGET_NAMES, "write one of them"));
    }
    return target;
  }

  private List<TargetSpec> targetWithChoices(Fields fields, YamlNode.Mapping map) {
    Optional<YamlNode.Scalar> name = fields.scalar("target", "a target's name");
    if (fields.node("target").isEmpty()) {
      mistakes.add(
          map.line(), "no target in this entry", "the key target", "add 'target: int8-channel'");
    }
    Optional<Target> target = name.flatMap(this::targetNamed);
    Optional<ScaleFormat> scales =
        fields.choice(
            "scales",
            Map.of("f32", Optional.of(ScaleFormat.FLOAT), "ue8m0", Optional.of(ScaleFormat.UE8M0)),
            Optional.empty());
    List<Selector> keep = selectors(fields, "keep");
    List<Selector> quantize = selectors(fields, "quantize");
    Optional<BoundsSpec> bounds = new BoundsReader(mistakes).read(fields);
    ChoicesReader choices = new ChoicesReader(mistakes);
    List<ExpertChoices> experts = choices.experts(fields);
    GgufOptions gguf = choices.gguf(fields, this::selector);
    CalibratedReader calibrated = new CalibratedReader(mistakes);
    Calibrated chosen = calibrated.read(fields, this::selector);
    if (target.isEmpty()) {
      return List.of();
    }
    int before = mistakes.count();
    checkAllowed(fields, target.get());
    checkConsistent(fields, keep, quantize);
    calibrated.checkAllowed(fields, target.get(), experts.getFirst().rule());
    if (mistakes.count() != before) {
      return List.of();
    }
    TargetSpec spec =
        new TargetSpec(
            target.get(),
            scales,
            keep,
            quantize,
            bounds,
            ExpertChoices.DEFAULT,
            gguf,
            sharedWithCpu(fields, target.get(), experts),
            chosen,
            false);
    return target.get().kind() == Target.Kind.EXPERTS
        ? experts.stream().map(spec::with).toList()
        : List.of(spec);
  }

  /// Under `numa` of a checkpoint: one number.
  private OptionalInt sharedWithCpu(Fields fields, Target target, List<ExpertChoices> experts) {
    if (target.kind() != Target.Kind.CHECKPOINT || fields.node("numa").isEmpty()) {
      return OptionalInt.empty();
    }
    return OptionalInt.of(experts.getFirst().numa());
  }

  private void checkAllowed(Fields fields, Target target) {
    Optional<YamlNode> scales = fields.node("scales");
    if (scales.isPresent() && !TargetSpec.choosesScales(target)) {
      mistakes.add(
          scales.get().line(),
          "scales for " + target.label(),
          "none: only fp8-block has a choice of scales",
          "remove the key");
    }
    if (!TargetSpec.choosesTensors(target)) {
      for (String key : List.of("keep", "quantize")) {
        String why = target == Target.BF16 ? "bf16 quantizes nothing" : "the format decides";
        refuse(fields, key, target, why);
      }
    }
    if (target.kind() != Target.Kind.EXPERTS) {
      if (!TargetSpec.servesFromCpu(target)) {
        refuse(fields, "numa", target, "KTransformers does not compute with its experts");
      } else if (fields.items("numa").size() > 1) {
        mistakes.add(
            fields.node("numa").orElseThrow().line(),
            "several numbers under numa for " + target.label(),
            "one: the runtime cuts the experts when it loads them",
            "keep one number");
      }
      refuse(fields, "form", target, "only targets of experts have a choice");
      refuse(fields, "rule", target, "only targets of experts have a choice");
    }
    if (target.kind() != Target.Kind.GGUF) {
      refuse(fields, "type", target, "only gguf has a choice of types");
      refuse(fields, "types", target, "only gguf has a choice of types");
      refuse(fields, "kv_b", target, "only gguf has a choice of forms");
    }
  }

  private void refuse(Fields fields, String key, Target target, String why) {
    fields
        .node(key)
        .ifPresent(node ->
            mistakes.add(
                node.line(), key + " for " + target.label(), "none: " + why, "remove the key"));
  }

  private void checkConsistent(Fields fields, List<Selector> keep, List<Selector> quantize) {
    for (Selector selector : quantize) {
      if (keep.contains(selector)) {
        mistakes.add(
            fields.node("quantize").orElseThrow().line(),
            "'" + selector.text() + "' under keep and under quantize",
            "one of the two",
            "remove it from one list");
      }
    }
  }

  private List<Selector> selectors(Fields fields, String key) {
    return fields.items(key).stream().flatMap(item -> selector(key, item).stream()).toList();
  }

  private Optional<Selector> selector(String key, YamlNode item) {
    if (!(item instanceof YamlNode.Scalar scalar)) {
      mistakes.add(
          item.line(), key + ": " + item.kind(), "a role, or 're:' and an expression", "write one");
      return Optional.empty();
    }
    return selector(scalar);
  }

  private Optional<Selector> selector(YamlNode.Scalar scalar) {
    String text = scalar.text();
    if (text.startsWith("re:")) {
      return pattern(scalar);
    }
    if (RoleLabels.all().contains(text)) {
      return Optional.of(new Selector.Role(text));
    }
    mistakes.add(
        scalar.line(),
        "unknown role '" + text + "'",
        "one of " + String.join(", ", RoleLabels.all()) + ", or 're:' and an expression",
        DidYouMean.remedy(text, RoleLabels.all(), "write one of them"));
    return Optional.empty();
  }

  private Optional<Selector> pattern(YamlNode.Scalar scalar) {
    try {
      return Optional.of(new Selector.Pattern(Pattern.compile(scalar.text().substring(3))));
    } catch (java.util.regex.PatternSyntaxException e) {
      String why = e.getDescription() + " at position " + Math.max(0, e.getIndex());
      mistakes.add(
          scalar.line(), scalar.kind() + " (" + why + ")", "a regular expression", "correct it");
      return Optional.empty();
    }
  }
}
