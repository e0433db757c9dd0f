package smelt.verify;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import smelt.verify.CtArgs.Dynamic;
import smelt.verify.CtArgs.Strategy;
import tools.jackson.databind.JsonNode;

/// The published schema of a compressed-tensors `quantization_config`, ported to a validator: the
/// loader's own model classes refuse one unknown key inside a group, but drop one at the top.
final class CtSchema {

  private static final Set<String> TOP_KEYS =
      Set.of(
          "quant_method",
          "version",
          "format",
          "quantization_status",
          "config_groups",
          "ignore",
          "kv_cache_scheme",
          "global_compression_ratio",
          "transform_config",
          "sparsity_config",
          "linear_fp8_config",
          "packed_modules_mapping");
  private static final Set<String> GROUP_KEYS =
      Set.of("targets", "weights", "input_activations", "output_activations", "format");
  private static final Set<String> ARGS_KEYS =
      Set.of(
          "num_bits",
          "type",
          "symmetric",
          "group_size",
          "strategy",
          "block_structure",
          "dynamic",
          "actorder",
          "scale_dtype",
          "zp_dtype",
          "observer",
          "observer_kwargs");
  private static final Set<String> FORMATS =
      Set.of(
          "dense",
          "int-quantized",
          "float-quantized",
          "naive-quantized",
          "pack-quantized",
          "nvfp4-pack-quantized",
          "mxfp4-pack-quantized",
          "mxfp8-quantized",
          "mixed-precision");

  private final List<CtConfig.Violation> violations = new ArrayList<>();

  private CtSchema() {}

  /// Reads what can be read; everything else becomes a violation.
  static CtConfig parse(JsonNode root) {
    CtSchema schema = new CtSchema();
    return schema.config(root);
  }

  private CtConfig config(JsonNode root) {
    for (String key : root.propertyNames()) {
      if (!TOP_KEYS.contains(key)) {
        violations.add(
            new CtConfig.Violation(
                Severity.WARN, key, "an unknown key", "a key of the schema; it is dropped"));
      }
    }
    Optional<String> format = format(root, "format");
    List<CtConfig.Group> groups = new ArrayList<>();
    JsonNode all = root.path("config_groups");
    if (!all.isObject() || all.isEmpty()) {
      wrong("config_groups", all, "an object with at least one group");
    }
    for (Map.Entry<String, JsonNode> entry : all.properties()) {
      groups.add(group(entry.getKey(), entry.getValue()));
    }
    args("kv_cache_scheme", root.path("kv_cache_scheme"));
    CtTargets ignore = targets("ignore", root);
    formatsAgree(format, groups);
    return new CtConfig(format, groups, ignore, violations);
  }

  private CtConfig.Group group(String name, JsonNode node) {
    String at = "config_groups." + name;
    if (node.isArray()) {
      CtTargets targets = CtTargets.of(texts(at, node));
      return new CtConfig.Group(
          name, targets, Optional.empty(), Optional.empty(), Optional.empty());
    }
    known(at, node, GROUP_KEYS);
    CtTargets targets = targets(at + ".targets", node);
    if (targets.entries().isEmpty()) {
      wrong(at + ".targets", node.path("targets"), "a list that is not empty");
    }
    Optional<String> format = format(node, at + ".format");
    if (format.filter("mixed-precision"::equals).isPresent()) {
      wrong(at + ".format", node.path("format"), "the format of this one group");
    }
    args(at + ".output_activations", node.path("output_activations"));
    return new CtConfig.Group(
        name,
        targets,
        args(at + ".weights", node.path("weights")),
        args(at + ".input_activations", node.path("input_activations")),
        format);
  }

  private void formatsAgree(Optional<String> format, List<CtConfig.Group> groups) {
    List<String> used =
        groups.stream().flatMap(group -> group.format().stream()).distinct().toList();
    if (format.isEmpty() || used.isEmpty()) {
      return;
    }
    String expected = used.size() == 1 ? used.getFirst() : "mixed-precision";
    if (!format.get().equals(expected)) {
      violation("format", format.get(), expected + ", which the groups' own formats make");
    }
  }

  private Optional<CtArgs> args(String at, JsonNode node) {
    if (node.isMissingNode() || node.isNull()) {
      return Optional.empty();
    }
    if (!node.isObject()) {
      wrong(at, node, "an object or null");
      return Optional.empty();
    }
    known(at, node, ARGS_KEYS);
    OptionalInt bits = Json.integer(node, "num_bits");
    if (node.has("num_bits") && bits.isEmpty()) {
      wrong(at + ".num_bits", node.path("num_bits"), "a whole number");
    }
    String type = choice(at + ".type", node.path("type"), "int", Set.of("int", "float"));
    boolean symmetric = flag(at + ".symmetric", node.path("symmetric"), true);
    OptionalInt groupSize = groupSize(at, node.path("group_size"));
    Strategy strategy = strategy(at, node.path("strategy"), groupSize);
    Optional<Quantization.Block> block = block(at + ".block_structure", node);
    Dynamic dynamic = dynamic(at + ".dynamic", node.path("dynamic"));
    CtArgs args =
        new CtArgs(
            bits.orElse(8), type.equals("int"), symmetric, strategy, groupSize, block, dynamic);
    consistent(at, node, args);
    dtypes(at, node, symmetric);
    return Optional.of(args);
  }

  private void consistent(String at, JsonNode node, CtArgs args) {
    Strategy strategy = args.strategy();
    boolean grouped = strategy == Strategy.GROUP || strategy == Strategy.TENSOR_GROUP;
    boolean sized = args.groupSize().orElse(0) > 0;
    if (strategy == Strategy.TOKEN && args.dynamic() == Dynamic.STATIC) {
      violation(at + ".dynamic", "strategy token with dynamic false", "dynamic true");
    }
    if (grouped != sized) {
      violation(
          at + ".group_size",
          label(strategy) + " with group_size " + node.path("group_size"),
          "a positive group_size with strategy group or tensor_group, and only there");
    }
    if ((strategy == Strategy.BLOCK) != args.block().isPresent()) {
      violation(
          at + ".block_structure",
          label(strategy) + " with block_structure " + node.path("block_structure"),
          "block_structure with strategy block, and only there");
    }
    JsonNode order = node.path("actorder");
    boolean byGroup = order.isBoolean() ? order.booleanValue() : isText(order, "group");
    if (byGroup && !grouped) {
      violation(at + ".actorder", order.toString(), "actorder only with strategy group");
    }
    dynamicFits(at, node, args);
  }

  private void dynamicFits(String at, JsonNode node, CtArgs args) {
    Strategy strategy = args.strategy();
    boolean fits =
        switch (args.dynamic()) {
          case STATIC -> true;
          case LOCAL -> strategy == Strategy.TENSOR_GROUP;
          case DYNAMIC ->
              switch (strategy) {
                case TOKEN, TENSOR, TENSOR_GROUP, GROUP -> true;
                case CHANNEL, BLOCK, ATTN_HEAD -> false;
              };
        };
    if (!fits) {
      violation(
          at + ".dynamic",
          node.path("dynamic") + " with strategy " + label(strategy),
          "true only with token, tensor, tensor_group, group; \"local\" only with tensor_group");
    }
    if (args.dynamic() == Dynamic.DYNAMIC && node.path("observer").isString()) {
      violation(at + ".observer", node.path("observer").toString(), "null with dynamic true");
    }
  }

  private void dtypes(String at, JsonNode node, boolean symmetric) {
    for (String key : List.of("scale_dtype", "zp_dtype")) {
      JsonNode dtype = node.path(key);
      boolean absent = dtype.isMissingNode() || dtype.isNull();
      if (!absent && !(dtype.isString() && dtype.stringValue().startsWith("torch."))) {
        wrong(at + "." + key, dtype, "a text such as \"torch.float8_e4m3fn\", or null");
      } else if (!absent && symmetric && key.equals("zp_dtype")) {
        wrong(at + "." + key, dtype, "null, because symmetric is true");
      }
    }
  }

  private Strategy strategy(String at, JsonNode node, OptionalInt groupSize) {
    if (node.isMissingNode() || node.isNull()) {
      if (groupSize.isEmpty()) {
        return Strategy.TENSOR;
      }
      return groupSize.getAsInt() > 0 ? Strategy.GROUP : Strategy.CHANNEL;
    }
    for (Strategy strategy : Strategy.values()) {
      if (isText(node, label(strategy))) {
        return strategy;
      }
    }
    wrong(
        at + ".strategy", node, "tensor, channel, group, block, token, tensor_group or attn_head");
    return Strategy.TENSOR;
  }

  private OptionalInt groupSize(String at, JsonNode node) {
    if (node.isMissingNode() || node.isNull()) {
      return OptionalInt.empty();
    }
    boolean whole = node.isIntegralNumber() && node.canConvertToInt();
    if (!whole || node.intValue() == 0 || node.intValue() < -1) {
      wrong(at + ".group_size", node, "a positive number, or -1 for a whole row");
      return OptionalInt.empty();
    }
    return OptionalInt.of(node.intValue());
  }

  private Optional<Quantization.Block> block(String at, JsonNode parent) {
    JsonNode node = parent.path("block_structure");
    if (node.isMissingNode() || node.isNull()) {
      return Optional.empty();
    }
    List<String> sizes =
        node.isString()
            ? List.of(node.stringValue().split("x", -1))
            : node.valueStream().map(JsonNode::toString).toList();
    if (sizes.size() == 2 && sizes.stream().allMatch(size -> size.matches("[1-9][0-9]{0,8}"))) {
      return Optional.of(
          new Quantization.Block(Integer.parseInt(sizes.get(0)), Integer.parseInt(sizes.get(1))));
    }
    wrong(at, node, "two positive whole numbers");
    return Optional.empty();
  }

  private Dynamic dynamic(String at, JsonNode node) {
    if (isText(node, "local")) {
      return Dynamic.LOCAL;
    }
    return flag(at, node, false) ? Dynamic.DYNAMIC : Dynamic.STATIC;
  }

  private boolean flag(String at, JsonNode node, boolean otherwise) {
    if (node.isBoolean()) {
      return node.booleanValue();
    }
    if (!node.isMissingNode() && !node.isNull()) {
      wrong(at, node, "true or false");
    }
    return otherwise;
  }

  private String choice(String at, JsonNode node, String otherwise, Set<String> allowed) {
    if (node.isMissingNode()) {
      return otherwise;
    }
    if (node.isString() && allowed.contains(node.stringValue())) {
      return node.stringValue();
    }
    wrong(at, node, "one of " + allowed.stream().sorted().toList());
    return otherwise;
  }

  private Optional<String> format(JsonNode node, String at) {
    JsonNode format = node.path("format");
    if (format.isMissingNode() || format.isNull()) {
      return Optional.empty();
    }
    if (!format.isString() || !FORMATS.contains(format.stringValue())) {
      wrong(at, format, "one of " + FORMATS.stream().sorted().toList());
      return Optional.empty();
    }
    return Optional.of(format.stringValue());
  }

  private CtTargets targets(String at, JsonNode parent) {
    CtTargets targets = CtTargets.of(texts(at, parent.path(at.substring(at.lastIndexOf('.') + 1))));
    for (String malformed : targets.malformed()) {
      violation(at, malformed, "a pattern that compiles");
    }
    return targets;
  }

  private List<String> texts(String at, JsonNode node) {
    if (node.isMissingNode() || node.isNull()) {
      return List.of();
    }
    if (!node.isArray() || !node.valueStream().allMatch(JsonNode::isString)) {
      wrong(at, node, "a list of texts");
      return List.of();
    }
    return node.valueStream().map(JsonNode::stringValue).toList();
  }

  private void known(String at, JsonNode node, Set<String> keys) {
    for (String key : node.propertyNames()) {
      if (!keys.contains(key)) {
        violation(at + "." + key, "an unknown key", "one of " + keys.stream().sorted().toList());
      }
    }
  }

  private static boolean isText(JsonNode node, String text) {
    return node.isString() && node.stringValue().equals(text);
  }

  private static String label(Strategy strategy) {
    return strategy.name().toLowerCase(Locale.ROOT);
  }

  private void wrong(String at, JsonNode found, String expected) {
    violation(at, found.isMissingNode() ? "nothing" : found.toString(), expected);
  }

  private void violation(String at, String found, String expected) {
    violations.add(new CtConfig.Violation(Severity.FAIL, at, found, expected));
  }
}
