package smelt.converter.recipe;

import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import smelt.converter.gguf.LatentForm;
import smelt.formats.codec.ScaleFormat;
import smelt.formats.files.Sha256;
import smelt.formats.gguf.GgmlType;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// What the user wants made of a checkpoint.
///
/// @param targets at least one, each with the same choices once
/// @param copyCode whether Python files of the source are carried over
/// @param shardSize the size in bytes that output shards should not exceed
public record Recipe(
    String name,
    String description,
    List<TargetSpec> targets,
    MtpPolicy mtp,
    boolean copyCode,
    long shardSize) {

  /// Where a recipe names none.
  public static final long DEFAULT_SHARD_SIZE = 4L << 30;

  public Recipe {
    targets = List.copyOf(targets);
    if (targets.isEmpty()) {
      throw new IllegalArgumentException("recipe " + name + " has no target");
    }
    Set<String> seen = new HashSet<>();
    for (TargetSpec spec : targets) {
      if (!seen.add(spec.name())) {
        throw new IllegalArgumentException("target " + spec.name() + " twice");
      }
    }
    if (shardSize < 1) {
      throw new IllegalArgumentException("shard size " + shardSize);
    }
  }

  /// Whether a target's numbers are chosen from a calibration.
  public boolean needsCalibration() {
    return targets.stream().anyMatch(spec -> !spec.calibrated().isNothing());
  }

  /// SHA-256, as lower-case hex, of the recipe's [#meaning]. How the YAML is written and which
  /// defaults it spells out make no difference.
  public String digest() {
    return Sha256.hex(meaning().toString().getBytes(StandardCharsets.UTF_8));
  }

  /// What decides the bytes of the result: [#json] without the description and without bounds, so
  /// that both may change without changing the job.
  public ObjectNode meaning() {
    ObjectNode json = json();
    json.remove("description");
    json.withArray("targets").forEach(target -> ((ObjectNode) target).remove("bounds"));
    return json;
  }

  /// The recipe with every default spelt out, as one line of JSON with its keys in a fixed order.
  public String canonicalJson() {
    return json().toString();
  }

  /// The recipe with every default spelt out.
  public ObjectNode json() {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("name", name);
    json.put("description", description);
    ArrayNode list = json.putArray("targets");
    for (TargetSpec spec : targets) {
      ObjectNode entry = list.addObject();
      entry.put("target", spec.target().label());
      if (TargetSpec.choosesScales(spec.target())) {
        entry.put("scales", spec.scales().map(Recipe::scalesName).orElse("as source"));
      }
      switch (spec.target().kind()) {
        case CHECKPOINT -> {
          texts(entry.putArray("keep"), spec.keep());
          texts(entry.putArray("quantize"), spec.quantize());
          spec.sharedWithCpu().ifPresent(nodes -> entry.put("numa", nodes));
        }
        case EXPERTS -> {
          entry.put("numa", spec.experts().numa());
          entry.put("form", spec.experts().form().name().toLowerCase(Locale.ROOT));
          entry.put("rule", spec.experts().rule().name().toLowerCase(Locale.ROOT));
        }
        case GGUF -> {
          if (!spec.exact()) {
            types(entry, spec);
          }
        }
      }
      spec.calibrated().addTo(entry);
      if (spec.exact()) {
        entry.put("exact", true);
      }
      spec.bounds().ifPresent(bounds -> entry.set("bounds", bounds.json()));
    }
    json.put("mtp", mtp.name().toLowerCase(Locale.ROOT));
    json.put("copy_code", copyCode);
    json.put("shard_size", shardSize);
    return json;
  }

  /// A form of `kv_b_proj` is named where it is not the usual one, so that plans without stay as
  /// they are.
  private static void types(ObjectNode entry, TargetSpec spec) {
    if (spec.gguf().latent() == LatentForm.FUSED) {
      entry.put("kv_b", "fused");
    }
    entry.put("type", typeName(spec.gguf().types().linear()));
    ObjectNode types = entry.putObject("types");
    spec.gguf()
        .types()
        .rules()
        .forEach(rule -> types.put(rule.selector().text(), typeName(rule.type())));
  }

  private static String typeName(GgmlType type) {
    return type.name().toLowerCase(Locale.ROOT);
  }

  private static String scalesName(ScaleFormat scales) {
    return switch (scales) {
      case FLOAT -> "f32";
      case UE8M0 -> "ue8m0";
    };
  }

  private static void texts(ArrayNode array, List<Selector> selectors) {
    selectors.forEach(selector -> array.add(selector.text()));
  }
}
