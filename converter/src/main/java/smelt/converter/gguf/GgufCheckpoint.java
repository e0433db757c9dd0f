package smelt.converter.gguf;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import smelt.converter.gguf.GgufMapping.Place;
import smelt.formats.BadInputException;
import smelt.formats.ElementType;
import smelt.formats.Problem;
import smelt.formats.Shape;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.gguf.BlockDecoder;
import smelt.formats.gguf.GgmlType;
import smelt.formats.gguf.GgufParts;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;
import smelt.formats.source.SourceFiles;
import tools.jackson.databind.node.ObjectNode;

/// GGUF read as the checkpoint that it was made from: [GgufMapping] the other way. What reads
/// checkpoints can read it; files that are neither weights nor config are those of the model.
///
/// | in GGUF | appears as |
/// |---|---|
/// | a tensor of whole rows, also one expert of a stack | its blocks, where they lie |
/// | the same with rows interleaved | the blocks of the plain type, row by row |
/// | rows that stand by turns for the engine's rotation | the same blocks, in the model's order |
/// | `attn_k_b` and `attn_v_b` | `kv_b_proj` in F32, decoded a head at a time |
/// | `attn_kv_b`, in older files | `kv_b_proj`, its blocks |
///
/// Layers of multi-token prediction are absent, and the config says so. Safe for several threads.
public final class GgufCheckpoint implements ModelSource {

  private static final String FOLDER = "gguf/";
  private static final String REORDERED = "gguf-rows/";
  private static final int PROBLEMS_NAMED = 5;
  private static final String REMEDY =
      "name the model that the file was made from, or make the file again";

  private final ModelSource made;
  private final ModelSource base;
  private final SourceFiles files;
  private final GgufParts parts;
  private final Map<String, GgufParts.Located> tensors = new HashMap<>();
  private final Map<String, ByteSource> views = new HashMap<>();
  private final RowView.Kept kept = new RowView.Kept();
  private final Map<String, Long> stored = new HashMap<>();
  private final List<String> changes = new ArrayList<>();
  private final List<Problem> problems = new ArrayList<>();
  private final Checkpoint checkpoint;

  private GgufCheckpoint(
      ModelSource made, ModelSource base, Checkpoint model, GgufParts parts, GgufMapping mapping) {
    this.made = made;
    this.base = base;
    this.parts = parts;
    files = new SourceFiles(made);
    parts.tensors().forEach(located -> tensors.put(located.tensor().name(), located));
    requireTensors(mapping);
    if (problems.isEmpty()) {
      checkpoint = model.with(made.location(), config(model, mapping), weights(model, mapping));
    } else {
      throw new BadInputException(problems.subList(0, Math.min(PROBLEMS_NAMED, problems.size())));
    }
  }

  /// Opens GGUF files beside the model they were made from. Both sources stay the caller's to
  /// close.
  ///
  /// @throws BadInputException naming tensors that are missing or have other dimensions than the
  ///   model's
  /// @throws UnsupportedException for a model that has no GGUF form, or types that cannot be read
  public static GgufCheckpoint open(ModelSource made, ModelSource base, Checkpoint model)
      throws IOException {
    GgufParts parts = GgufParts.open(made);
    boolean fused =
        parts.tensors().stream().anyMatch(t -> t.tensor().name().endsWith(".attn_kv_b.weight"));
    GgufOptions options =
        GgufOptions.of(GgmlType.F32).with(fused ? LatentForm.FUSED : LatentForm.SPLIT);
    GgufMapping mapping = GgufMapping.of(model, options);
    GgufCheckpoint opened = new GgufCheckpoint(made, base, model, parts, mapping);
    opened.changes.addAll(MetadataChanges.of(parts, model, base, options, mapping));
    opened.compareNumbers(mapping);
    return opened;
  }

  private void requireTensors(GgufMapping mapping) {
    Set<String> known = new HashSet<>();
    for (GgufMapping.Tensor tensor : mapping.tensors()) {
      known.add(tensor.name());
      GgufParts.Located located = tensors.get(tensor.name());
      if (located == null || !located.tensor().dims().equals(tensor.dims())) {
        problems.add(
            new Problem(
                parts.location(),
                located == null
                    ? "no tensor " + tensor.name()
                    : tensor.name() + " with the dimensions " + located.tensor().dims(),
                "dimensions " + tensor.dims() + ", as the model implies",
                REMEDY));
      } else if (!BlockDecoder.canRead(located.tensor().type().plain())) {
        throw new UnsupportedException(
            "reading " + tensor.name() + " in " + located.tensor().type(),
            "F32, F16, BF16, Q8_0, Q4_0 to Q5_1, Q2_K to Q6_K, IQ4_NL, IQ4_XS and MXFP4 are read");
      }
    }
    tensors.keySet().stream()
        .filter(name -> !known.contains(name))
        .sorted()
        .forEach(name -> changes.add("added tensor " + name));
  }

  /// GGUF says nothing of the source's quantization, and of layers that are not there.
  private static ModelConfig config(Checkpoint model, GgufMapping mapping) {
    ObjectNode tree = model.config().tree();
    tree.remove("quantization_config");
    boolean dropped =
        mapping.dropped().stream()
            .flatMap(d -> model.weight(d.weight()).stream())
            .anyMatch(w -> w.role().layer().orElse(0) >= model.config().numHiddenLayers());
    if (dropped) {
      tree.put("num_nextn_predict_layers", 0);
    }
    return model.config().with(tree);
  }

  private List<Weight> weights(Checkpoint model, GgufMapping mapping) {
    Map<Weight, List<Place>> places = mapping.places();
    List<Weight> weights = new ArrayList<>();
    for (Weight weight : model.weights()) {
      List<Place> of = places.get(weight);
      if (of != null) {
        stored.put(weight.name(), of.stream().mapToLong(this::bytes).sum());
        weights.add(shown(weight, of));
      }
    }
    return weights;
  }

  private long bytes(Place place) {
    long row = tensors.get(place.tensor().name()).tensor().rowBytes();
    return Math.multiplyExact(row, place.slab().tensorRows());
  }

  private Weight shown(Weight weight, List<Place> places) {
    Place first = places.getFirst();
    GgufParts.Located located = tensors.get(first.tensor().name());
    GgmlType type = located.tensor().type();
    if (places.size() == 1 && first.slab().order() == Slab.Order.PLAIN) {
      if (type.interleavedRows() > 1) {
        return separated(weight, located, first);
      }
      long at = located.offset() + located.tensor().rowBytes() * first.tensorRow();
      long bytes = located.tensor().rowBytes() * first.slab().rows();
      return stored(weight, encoding(type), FOLDER + located.file(), at, bytes);
    }
    String file = REORDERED + weight.name();
    boolean rowsOnly =
        places.stream()
            .allMatch(place ->
                place.tensor().name().equals(first.tensor().name())
                    && place.slab().order() != Slab.Order.TRANSPOSED);
    RowView view =
        rowsOnly
            ? RowView.reordered(file, files, located, places, kept)
            : RowView.decoded(file, files, tensors, places, kept);
    views.put(file, view);
    Encoding encoding = rowsOnly ? encoding(type) : new Encoding.Plain(ElementType.F32);
    return stored(weight, encoding, file, 0, view.size());
  }

  private Weight separated(Weight weight, GgufParts.Located located, Place place) {
    String file = REORDERED + weight.name();
    SeparatedRows rows =
        new SeparatedRows(file, files, located, place.tensorRow(), place.slab().rows());
    views.put(file, rows);
    return stored(weight, encoding(located.tensor().type()), file, 0, rows.size());
  }

  private static Weight stored(
      Weight weight, Encoding encoding, String file, long offset, long bytes) {
    Shape codes = encoding.codeShape(weight.shape());
    SourceTensor tensor =
        new SourceTensor(weight.name(), encoding.type(), codes, file, offset, bytes);
    return new Weight(weight.name(), weight.role(), encoding, tensor, Optional.empty());
  }

  private static Encoding encoding(GgmlType type) {
    return type.isQuantized()
        ? new Encoding.Ggml(type.plain())
        : new Encoding.Plain(ElementType.named(type.name()).orElseThrow());
  }

  /// Tensors whose numbers follow from the config.
  private void compareNumbers(GgufMapping mapping) throws IOException {
    for (GgufMapping.Tensor tensor : mapping.tensors()) {
      if (tensor.content() instanceof GgufMapping.Content.Numbers(List<Float> expected)) {
        float[] found = RowView.values(files, tensors.get(tensor.name()), 0, 1);
        for (int i = 0; i < found.length; i++) {
          if (found[i] != expected.get(i)) {
            changes.add(tensor.name() + "[" + i + "]: " + expected.get(i) + " -> " + found[i]);
            break;
          }
        }
      }
    }
  }

  /// The model with the weights of the GGUF files.
  public Checkpoint checkpoint() {
    return checkpoint;
  }

  /// Bytes of a weight in the files.
  public long storedBytes(Weight weight) {
    return stored.getOrDefault(weight.name(), 0L);
  }

  /// What differs from the model beside the weights: metadata, tensors that the model does not
  /// imply, numbers that follow from its config.
  public List<String> changes() {
    return List.copyOf(changes);
  }

  /// The architecture in llama.cpp's words.
  public String architecture() {
    return parts.architecture().orElse("no architecture");
  }

  /// The types of the tensors, the one with the most bytes first, such as `Q4_K, Q5_0, F32`.
  public String types() {
    Map<GgmlType, Long> bytes =
        tensors.values().stream()
            .collect(
                Collectors.groupingBy(
                    located -> located.tensor().type(),
                    Collectors.summingLong(located -> located.tensor().bytes())));
    return bytes.entrySet().stream()
        .sorted(Map.Entry.<GgmlType, Long>comparingByValue().reversed())
        .map(entry -> entry.getKey().name())
        .collect(Collectors.joining(", "));
  }

  @Override
  public String location() {
    return made.location();
  }

  /// The model's files; those of the weights are not listed.
  @Override
  public List<String> names() {
    return base.names();
  }

  @Override
  public ByteSource open(String name) throws IOException {
    if (name.startsWith(FOLDER)) {
      return made.open(name.substring(FOLDER.length()));
    }
    ByteSource view = views.get(name);
    return view == null ? base.open(name) : view;
  }

  @Override
  public String stamp(String name) throws IOException {
    return name.startsWith(FOLDER) || views.containsKey(name) ? "" : base.stamp(name);
  }

  @Override
  public byte[] readSmall(String name, long limit) throws IOException {
    return base.readSmall(name, limit);
  }

  @Override
  public void close() throws IOException {
    files.close();
  }
}
