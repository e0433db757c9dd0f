package smelt.converter.cli;

import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Inventory;
import smelt.formats.checkpoint.Leftover;
import smelt.formats.checkpoint.Shard;
import smelt.formats.checkpoint.SideFile;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// A model for programs. Keys are snake_case; numbers are exact.
final class InspectJson {

  private InspectJson() {}

  /// @param tensors whether every stored tensor is listed too
  static ObjectNode of(Checkpoint model, boolean tensors) {
    Inventory inventory = Inventory.of(model);
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("model", model.location());
    json.put("architecture", model.architecture().className());
    json.put("layers", model.config().numHiddenLayers());
    json.put("mtp_layers", model.config().mtpLayers());
    model.config().routedExperts().ifPresent(n -> json.put("routed_experts", n));
    model.config().quantization().flatMap(q -> q.method()).ifPresent(m -> json.put("method", m));
    json.put("parameters", inventory.all().parameters());
    json.put("weights", model.weights().size());
    json.put("tensors", model.storedTensors());
    json.put("tensor_bytes", model.tensorBytes());
    json.put("file_bytes", model.shards().stream().mapToLong(Shard::size).sum());
    totals(json.putObject("element_types"), inventory.byType(), ElementType::name);
    totals(json.putObject("roles"), inventory.byRole(), name -> name);
    totals(
        json.putObject("layer_kinds"),
        inventory.byKind(),
        kind -> kind.name().toLowerCase(Locale.ROOT));
    totals(json.putObject("layer_totals"), inventory.byLayer(), String::valueOf);
    totals(json.putObject("encodings"), EncodingTotals.of(model), name -> name);
    files(json, model);
    if (tensors) {
      tensors(json.putArray("tensor_list"), model);
    }
    return json;
  }

  private static <K> void totals(
      ObjectNode json, Map<K, Inventory.Total> totals, Function<K, String> name) {
    totals.forEach((key, total) ->
        json.putObject(name.apply(key))
            .put("tensors", total.tensors())
            .put("parameters", total.parameters())
            .put("bytes", total.bytes()));
  }

  private static void files(ObjectNode json, Checkpoint model) {
    ArrayNode shards = json.putArray("shards");
    for (Shard shard : model.shards()) {
      shards
          .addObject()
          .put("file", shard.file())
          .put("size", shard.size())
          .put("tensors", shard.tensors())
          .put("header_sha256", shard.headerSha256());
    }
    ArrayNode others = json.putArray("other_files");
    for (SideFile file : model.sideFiles()) {
      others
          .addObject()
          .put("file", file.name())
          .put("size", file.size())
          .put("kind", file.kind().name().toLowerCase(Locale.ROOT));
    }
    ArrayNode notes = json.putArray("notes");
    model.notes().forEach(notes::add);
  }

  private static void tensors(ArrayNode list, Checkpoint model) {
    for (Weight weight : model.weights()) {
      tensor(list.addObject(), weight.codes()).put("role", weight.role().label());
      weight
          .scale()
          .ifPresent(scale -> tensor(list.addObject(), scale).put("scale_of", weight.name()));
    }
    for (Leftover leftover : model.leftovers()) {
      tensor(list.addObject(), leftover.tensor()).put("left_over", leftover.reason().words());
    }
  }

  private static ObjectNode tensor(ObjectNode json, SourceTensor tensor) {
    json.put("name", tensor.name()).put("type", tensor.type().name());
    ArrayNode shape = json.putArray("shape");
    tensor.shape().dims().forEach(shape::add);
    return json.put("file", tensor.file())
        .put("offset", tensor.offset())
        .put("bytes", tensor.bytes());
  }
}
