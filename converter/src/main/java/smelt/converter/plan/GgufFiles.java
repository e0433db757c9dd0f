package smelt.converter.plan;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import smelt.converter.gguf.GgufMapping;
import smelt.converter.gguf.GgufMetadata;
import smelt.converter.gguf.Slab;
import smelt.converter.recipe.TargetSpec;
import smelt.formats.Problem;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.gguf.GgufLayout;
import smelt.formats.gguf.GgufSplit;
import smelt.formats.gguf.GgufValue;
import smelt.formats.source.ModelSource;

/// A target for llama.cpp: GGUF, one file for each unit. A model of one unit is `model.gguf`; of
/// more, `model-00001-of-0000N.gguf` and so on, of which the runtime is given the first. That one
/// holds the metadata with the tokenizer, so nothing else comes along.
final class GgufFiles implements TargetLayout {

  private static final String STEM = "model";
  private static final String SIDE_FILE = "GGUF holds what the runtime needs of it as metadata";

  private final int target;
  private final GgufMapping mapping;
  private final SequencedMap<String, GgufValue> metadata;
  private final List<String> notes;
  private final SideFiles sideFiles;
  private final Map<String, List<Job.Piece>> pieces = new HashMap<>();
  private final List<Plan.Dropped> dropped = new ArrayList<>();

  private GgufFiles(
      int target,
      GgufMapping mapping,
      SequencedMap<String, GgufValue> metadata,
      List<String> notes,
      List<Weight> weights,
      SideFiles sideFiles) {
    this.target = target;
    this.mapping = mapping;
    this.metadata = metadata;
    this.notes = List.copyOf(notes);
    this.sideFiles = sideFiles;
    mapping
        .places()
        .forEach((weight, places) ->
            pieces.put(weight.name(), places.stream().map(GgufFiles::piece).toList()));
    Map<String, String> reasons = new HashMap<>();
    mapping.dropped().forEach(d -> reasons.put(d.weight(), d.reason()));
    for (Weight weight : weights) {
      if (!pieces.containsKey(weight.name())) {
        String reason = reasons.getOrDefault(weight.name(), "llama.cpp has no place for it");
        dropped.addAll(Plan.Dropped.tensors(weight, reason));
      }
    }
  }

  static GgufFiles of(
      int target,
      TargetSpec spec,
      Checkpoint checkpoint,
      ModelSource source,
      List<Weight> weights,
      SideFiles sideFiles)
      throws IOException {
    GgufMapping mapping = GgufMapping.of(checkpoint, spec.gguf());
    List<String> notes = new ArrayList<>(mapping.notes());
    SequencedMap<String, GgufValue> metadata =
        GgufMetadata.of(checkpoint, source, spec.gguf(), mapping, notes);
    return new GgufFiles(target, mapping, metadata, notes, weights, sideFiles);
  }

  private static Job.Piece piece(GgufMapping.Place place) {
    GgufMapping.Tensor tensor = place.tensor();
    Slab slab = place.slab();
    long rowBytes = tensor.type().bytes(tensor.dims().getFirst());
    return new Job.Piece(
        tensor.name(),
        tensor.type(),
        Math.multiplyExact(rowBytes, place.tensorRow()),
        slab.firstRow(),
        slab.rows(),
        slab.order());
  }

  @Override
  public Optional<Job.Output> output(Weight weight) {
    List<Job.Piece> parts = pieces.get(weight.name());
    if (parts == null) {
      return Optional.empty();
    }
    return Optional.of(new Job.Output.Blocks(target, rowStep(parts), parts));
  }

  /// The distance after which the pieces repeat: a piece must lie in one tile.
  private static long rowStep(List<Job.Piece> pieces) {
    if (pieces.size() == 1 && pieces.getFirst().order() == Slab.Order.PLAIN) {
      return pieces.getFirst().type().interleavedRows();
    }
    String first = pieces.getFirst().tensor();
    long step = 0;
    for (Job.Piece piece : pieces) {
      if (piece.tensor().equals(first) && piece.firstRow() > 0) {
        return piece.firstRow() - pieces.getFirst().firstRow();
      }
      step = Math.max(step, piece.firstRow() + piece.rows());
    }
    return step;
  }

  @Override
  public List<Problem> problems() {
    return List.of();
  }

  @Override
  public List<TargetPlan.Shard> shards(List<Unit> units) {
    List<Integer> used = new ArrayList<>();
    List<Set<String>> contents = new ArrayList<>();
    for (int u = 0; u < units.size(); u++) {
      Set<String> tensors = tensors(units.get(u));
      if (!tensors.isEmpty()) {
        used.add(u);
        contents.add(tensors);
      }
    }
    SortedMap<String, byte[]> constants = constants();
    List<TargetPlan.Shard> shards = new ArrayList<>();
    for (int i = 0; i < used.size(); i++) {
      SortedMap<String, byte[]> own = i == 0 ? constants : new TreeMap<>();
      contents.get(i).addAll(own.keySet());
      GgufSplit split = new GgufSplit(i, used.size(), mapping.tensors().size());
      String name = used.size() == 1 ? STEM + ".gguf" : split.fileName(STEM);
      GgufLayout layout = GgufLayout.of(metadata(split), inOrder(contents.get(i)));
      shards.add(new TargetPlan.Shard(used.get(i), name, new ShardLayout.Gguf(layout), own));
    }
    return shards;
  }

  private Set<String> tensors(Unit unit) {
    Set<String> names = new HashSet<>();
    for (Job job : unit.jobs()) {
      job.output(target).ifPresent(output -> names.addAll(output.tensors()));
    }
    return names;
  }

  /// The tensors of a file in the order of the whole model.
  private List<GgufLayout.Tensor> inOrder(Set<String> names) {
    return mapping.tensors().stream()
        .filter(tensor -> names.contains(tensor.name()))
        .map(t -> new GgufLayout.Tensor(t.name(), t.type(), t.dims()))
        .toList();
  }

  /// Tensors whose numbers follow from the config, as F32.
  private SortedMap<String, byte[]> constants() {
    SortedMap<String, byte[]> constants = new TreeMap<>();
    for (GgufMapping.Tensor tensor : mapping.tensors()) {
      if (tensor.content() instanceof GgufMapping.Content.Numbers(List<Float> values)) {
        ByteBuffer bytes =
            ByteBuffer.allocate(Float.BYTES * values.size()).order(ByteOrder.LITTLE_ENDIAN);
        values.forEach(bytes::putFloat);
        constants.put(tensor.name(), bytes.array());
      }
    }
    return constants;
  }

  private SequencedMap<String, GgufValue> metadata(GgufSplit split) {
    if (split.count() == 1) {
      return metadata;
    }
    SequencedMap<String, GgufValue> entries = new LinkedHashMap<>();
    if (split.number() == 0) {
      entries.putAll(metadata);
    }
    entries.putAll(split.metadata());
    return entries;
  }

  @Override
  public List<TargetPlan.SmallFile> smallFiles(List<Unit> units, List<TargetPlan.Shard> shards) {
    return List.of();
  }

  @Override
  public List<Plan.Dropped> dropped() {
    return dropped;
  }

  @Override
  public List<Plan.Dropped> leftOut() {
    return sideFiles.carried().stream()
        .map(file -> new Plan.Dropped(file.from(), SIDE_FILE))
        .toList();
  }

  @Override
  public List<String> notes() {
    return notes;
  }
}
