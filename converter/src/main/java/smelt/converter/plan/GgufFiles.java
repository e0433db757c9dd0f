package smelt.converter.plan;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import smelt.converter.gguf.GgufPart;
import smelt.converter.gguf.GgufPlan;
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
  private final GgufPlan gguf;
  private final SideFiles sideFiles;
  private final Map<String, List<Job.Piece>> pieces;
  private final List<Plan.Dropped> dropped = new ArrayList<>();

  private GgufFiles(int target, GgufPlan gguf, List<Weight> weights, SideFiles sideFiles) {
    this.target = target;
    this.gguf = gguf;
    this.sideFiles = sideFiles;
    this.pieces = pieces(gguf);
    Map<String, String> reasons = new HashMap<>();
    gguf.dropped().forEach(d -> reasons.put(d.weight(), d.reason()));
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
    GgufPlan plan = GgufPlan.of(checkpoint, source, spec.gguf());
    return new GgufFiles(target, plan, weights, sideFiles);
  }

  /// Where the rows of every weight go, by its name.
  private static Map<String, List<Job.Piece>> pieces(GgufPlan gguf) {
    Map<String, List<Job.Piece>> pieces = new HashMap<>();
    for (GgufPart part : gguf.parts()) {
      long at = 0;
      for (Slab slab : part.slabs()) {
        pieces
            .computeIfAbsent(slab.weight().name(), _ -> new ArrayList<>())
            .add(
                new Job.Piece(
                    part.tensor().name(),
                    part.tensor().type(),
                    at,
                    slab.firstRow(),
                    slab.rows(),
                    slab.transposed()));
        at += part.tensor().type().bytes(Math.multiplyExact(slab.rows(), slab.cols()));
      }
    }
    return pieces;
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
    if (pieces.size() == 1) {
      return 1;
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
    List<List<GgufLayout.Tensor>> contents = new ArrayList<>();
    for (int u = 0; u < units.size(); u++) {
      List<GgufLayout.Tensor> tensors = tensors(units.get(u));
      if (!tensors.isEmpty()) {
        used.add(u);
        contents.add(tensors);
      }
    }
    List<TargetPlan.Shard> shards = new ArrayList<>();
    for (int i = 0; i < used.size(); i++) {
      GgufSplit split = new GgufSplit(i, used.size(), gguf.parts().size());
      String name = used.size() == 1 ? STEM + ".gguf" : split.fileName(STEM);
      GgufLayout layout = GgufLayout.of(metadata(split), contents.get(i));
      shards.add(new TargetPlan.Shard(used.get(i), name, new ShardLayout.Gguf(layout)));
    }
    return shards;
  }

  /// A unit's tensors in the order of the whole file.
  private List<GgufLayout.Tensor> tensors(Unit unit) {
    Set<String> names = new HashSet<>();
    for (Job job : unit.jobs()) {
      job.output(target).ifPresent(output -> names.addAll(output.tensors()));
    }
    return gguf.parts().stream()
        .map(GgufPart::tensor)
        .filter(tensor -> names.contains(tensor.name()))
        .map(t -> new GgufLayout.Tensor(t.name(), t.type(), t.dims()))
        .toList();
  }

  private SequencedMap<String, GgufValue> metadata(GgufSplit split) {
    if (split.count() == 1) {
      return gguf.metadata();
    }
    SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
    if (split.number() == 0) {
      metadata.putAll(gguf.metadata());
    }
    metadata.putAll(split.metadata());
    return metadata;
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
}
