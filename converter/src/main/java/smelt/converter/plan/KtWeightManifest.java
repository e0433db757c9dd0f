package smelt.converter.plan;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import smelt.formats.experts.ExpertFormat;
import smelt.formats.experts.ExpertTensor;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.StreamWriteFeature;
import tools.jackson.core.util.DefaultIndenter;
import tools.jackson.core.util.DefaultPrettyPrinter;
import tools.jackson.core.util.Separators;
import tools.jackson.databind.json.JsonMapper;

/// `kt-weight-manifest.json`, schema 2, in the root of a `.kt` tree: sizes and digests of its files
/// as KTransformers' own validator reads them. It takes a tree whose root holds this file and the
/// layers' folders, and nothing else.
///
/// Layouts have names there, and only that of `AMXINT8` has one. Each file is on a line.
final class KtWeightManifest implements TargetPlan.Listing {

  static final String NAME = "kt-weight-manifest.json";

  private static final int SCHEMA = 2;
  private static final String LAYOUT = "kt-int8-n32-k64-vnni-v1";
  private static final String READY = "ready";
  private static final String NO_SHA256 = "0".repeat(64);
  private static final JsonMapper MAPPER =
      JsonMapper.builder().disable(StreamWriteFeature.AUTO_CLOSE_TARGET).build();

  /// What all layers have in common.
  ///
  /// @param nodes NUMA nodes
  /// @param experts experts of a layer
  /// @param hidden columns of an up projection
  /// @param intermediate its rows, before they are cut for the nodes
  record Sizes(int nodes, int experts, long hidden, long intermediate) {}

  private final String root;
  private final Sizes sizes;
  private final SortedMap<Integer, List<ShardLayout.UnitFile>> layers;
  private final long bytes;

  /// @param root folder of the tree
  KtWeightManifest(String root, Sizes sizes, List<TargetPlan.Shard> shards) {
    this.root = root;
    this.sizes = sizes;
    this.layers = layers(root, shards);
    this.bytes = count();
  }

  /// Whether the runtime has a name for the layout.
  static boolean knows(ExpertFormat format) {
    return switch (format) {
      case AMXINT8 -> true;
      case AMXINT4, MOE_INT8 -> false;
    };
  }

  private static SortedMap<Integer, List<ShardLayout.UnitFile>> layers(
      String root, List<TargetPlan.Shard> shards) {
    SortedMap<Integer, List<ShardLayout.UnitFile>> layers = new TreeMap<>();
    for (TargetPlan.Shard shard : shards) {
      for (ShardLayout.UnitFile file : shard.files()) {
        String path = file.name().substring(root.length() + 1);
        int layer = ExpertTensor.ofPath(path).orElseThrow().tensor().layer();
        layers
            .computeIfAbsent(layer, _ -> new ArrayList<>())
            .add(new ShardLayout.UnitFile(path, file.bytes()));
      }
    }
    layers.values().forEach(l -> l.sort(Comparator.comparing(ShardLayout.UnitFile::name)));
    return layers;
  }

  private long count() {
    CountingStream counter = new CountingStream();
    try {
      write(_ -> NO_SHA256, counter);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return counter.count();
  }

  @Override
  public String name() {
    return root + "/" + NAME;
  }

  @Override
  public long bytes() {
    return bytes;
  }

  @Override
  public void write(UnaryOperator<String> sha256, OutputStream out) throws IOException {
    try (JsonGenerator json = MAPPER.writer().with(lines()).createGenerator(out)) {
      json.writeStartObject();
      json.writeNumberProperty("schema_version", SCHEMA);
      json.writeStringProperty("state", READY);
      json.writeStringProperty("expert_weight_format", "int8");
      json.writeStringProperty("layout", LAYOUT);
      json.writeStringProperty("backend", "INT8");
      json.writeNumberProperty("threadpool_count", sizes.nodes());
      json.writeNumberProperty("expert_num", sizes.experts());
      json.writeNumberProperty("hidden_size", sizes.hidden());
      json.writeNumberProperty("intermediate_size", sizes.intermediate());
      json.writeArrayPropertyStart("layers");
      long total = 0;
      for (int layer : layers.keySet()) {
        total = Math.addExact(total, writeLayer(json, layer, sha256));
      }
      json.writeEndArray();
      json.writeNumberProperty("bytes", total);
      json.writeEndObject();
    }
    out.write('\n');
  }

  /// @return bytes of the layer's files
  private long writeLayer(JsonGenerator json, int layer, UnaryOperator<String> sha256) {
    long total = 0;
    json.writeStartObject();
    json.writeNumberProperty("index", layer);
    json.writeNumberProperty("numa_count", sizes.nodes());
    json.writeStringProperty("state", READY);
    json.writeArrayPropertyStart("files");
    for (ShardLayout.UnitFile file : layers.get(layer)) {
      json.writeStartObject();
      json.writeStringProperty("path", file.name());
      json.writeNumberProperty("size_bytes", file.bytes());
      json.writeStringProperty("sha256", sha256.apply(root + "/" + file.name()));
      json.writeEndObject();
      total = Math.addExact(total, file.bytes());
    }
    json.writeEndArray();
    json.writeNumberProperty("bytes", total);
    json.writeEndObject();
    return total;
  }

  /// A line for each element of an array, whatever the machine's own line end.
  private static DefaultPrettyPrinter lines() {
    return new DefaultPrettyPrinter()
        .withArrayIndenter(new DefaultIndenter("", "\n"))
        .withObjectIndenter(DefaultPrettyPrinter.FixedSpaceIndenter.instance())
        .withSeparators(
            Separators.createDefaultInstance()
                .withObjectNameValueSpacing(Separators.Spacing.AFTER));
  }
}
