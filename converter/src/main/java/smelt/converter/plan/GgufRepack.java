package smelt.converter.plan;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.stream.Collectors;
import smelt.converter.recipe.MtpPolicy;
import smelt.converter.recipe.Recipe;
import smelt.converter.recipe.RecipeException;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.target.Target;
import smelt.formats.ElementType;
import smelt.formats.Shape;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.gguf.GgufLayout;
import smelt.formats.gguf.GgufModel;
import smelt.formats.gguf.GgufParts;
import smelt.formats.gguf.GgufSplit;
import smelt.formats.gguf.GgufTensor;
import smelt.formats.gguf.GgufValue;
import smelt.formats.source.ModelSource;

/// Plans a GGUF model in other files: tensors in their order, their bytes as they are, metadata to
/// the bit but for the keys that number the parts. Nothing needs to know what is in it.
///
/// The first part has the metadata and its alignment, the others are aligned to 32 bytes as
/// runtimes expect of a file that says nothing else. A part is a unit of work.
public final class GgufRepack {

  /// Bytes are copied in rows of a power of two, at most so many.
  private static final long ROW_BYTES = 4096;

  private final ModelSource source;
  private final GgufModel model;
  private final long fileSize;

  private record Stored(GgufTensor tensor, SourceTensor bytes) {}

  private GgufRepack(ModelSource source, GgufModel model, long fileSize) {
    this.source = source;
    this.model = model;
    this.fileSize = fileSize;
  }

  /// The plan.
  ///
  /// @param fileSize bytes that no file is to exceed, unless a single tensor does
  /// @throws RecipeException if that needs more files than can be numbered
  public static Plan plan(ModelSource source, GgufModel model, long fileSize) throws IOException {
    return new GgufRepack(source, model, fileSize).plan();
  }

  private Plan plan() throws IOException {
    List<List<Stored>> files = files();
    if (files.size() > GgufSplit.MAX_COUNT) {
      throw new RecipeException(
          "--shard-size " + fileSize,
          files.size() + " files",
          "at most " + GgufSplit.MAX_COUNT,
          "give a larger size");
    }
    List<Unit> units = new ArrayList<>();
    List<TargetPlan.Shard> shards = new ArrayList<>();
    int first = 1;
    for (int i = 0; i < files.size(); i++) {
      List<Stored> content = files.get(i);
      GgufSplit split = new GgufSplit(i, files.size(), Math.toIntExact(model.tensors()));
      shards.add(shard(split, content));
      units.add(unit(i, first, content));
      first += content.size();
    }
    TargetSpec spec = TargetSpec.of(Target.GGUF).exactly();
    Recipe recipe =
        new Recipe(
            "repack",
            "The same tensors in other files.",
            List.of(spec),
            MtpPolicy.KEEP,
            false,
            fileSize);
    TargetPlan target =
        new TargetPlan(
            spec, "", shards, List.of(), Optional.empty(), List.of(), leftOut(), List.of(), 0);
    Plan plan =
        new Plan(
            SourceSummary.of(source, model),
            recipe,
            units,
            List.of(target),
            List.of(),
            List.of(),
            Optional.empty());
    return Planner.withManifestSizes(plan);
  }

  /// The tensors of each file. How many files there are makes no difference to their headers: the
  /// keys that say so have a fixed size.
  private List<List<Stored>> files() {
    List<Stored> all = stored();
    SequencedMap<String, GgufValue> whole = model.metadata();
    if (fits(all, whole)) {
      return List.of(all);
    }
    SequencedMap<String, GgufValue> parts = new GgufSplit(0, 2, 0).metadata();
    SequencedMap<String, GgufValue> firstPart = new LinkedHashMap<>(whole);
    firstPart.putAll(parts);
    List<List<Stored>> files = new ArrayList<>();
    List<Stored> open = new ArrayList<>();
    Size size = new Size(firstPart);
    for (Stored stored : all) {
      size.add(stored);
      if (!open.isEmpty() && size.bytes() > fileSize) {
        files.add(open);
        open = new ArrayList<>();
        size = new Size(parts);
        size.add(stored);
      }
      open.add(stored);
    }
    files.add(open);
    return files;
  }

  private boolean fits(List<Stored> all, SequencedMap<String, GgufValue> metadata) {
    Size size = new Size(metadata);
    all.forEach(size::add);
    return all.size() < 2 || size.bytes() <= fileSize;
  }

  /// The size of a file as tensors are added to it.
  private static final class Size {
    private final long alignment;
    private long header;
    private long data;

    Size(SequencedMap<String, GgufValue> metadata) {
      alignment = GgufLayout.alignment(metadata);
      header = GgufLayout.of(metadata, List.of()).headerBytes();
    }

    void add(Stored stored) {
      header += GgufLayout.listedBytes(listed(stored.tensor()));
      data = Math.addExact(data, GgufLayout.padded(stored.tensor().bytes(), alignment));
    }

    long bytes() {
      return Math.addExact(GgufLayout.padded(header, alignment), data);
    }
  }

  private List<Stored> stored() {
    List<Stored> all = new ArrayList<>();
    for (GgufParts.Part part : model.parts()) {
      for (GgufTensor tensor : part.header().tensors()) {
        long bytes = tensor.bytes();
        long row = Math.min(ROW_BYTES, Long.lowestOneBit(bytes));
        SourceTensor stored =
            new SourceTensor(
                tensor.name(),
                ElementType.U8,
                Shape.of(bytes / row, row),
                part.file(),
                part.header().offset(tensor),
                bytes);
        all.add(new Stored(tensor, stored));
      }
    }
    return all;
  }

  private static GgufLayout.Tensor listed(GgufTensor tensor) {
    return new GgufLayout.Tensor(tensor.name(), tensor.type(), tensor.dims());
  }

  private TargetPlan.Shard shard(GgufSplit split, List<Stored> content) {
    SequencedMap<String, GgufValue> metadata = new LinkedHashMap<>();
    if (split.number() == 0) {
      metadata.putAll(model.metadata());
    }
    if (split.count() > 1) {
      metadata.putAll(split.metadata());
    }
    GgufLayout layout =
        GgufLayout.of(metadata, content.stream().map(s -> listed(s.tensor())).toList());
    String name = split.count() == 1 ? model.stem() + ".gguf" : split.fileName(model.stem());
    return new TargetPlan.Shard(split.number(), name, new ShardLayout.Gguf(layout));
  }

  private static Unit unit(int index, int firstTensor, List<Stored> content) {
    Encoding bytes = new Encoding.Plain(ElementType.U8);
    List<Job> jobs = new ArrayList<>();
    for (Stored stored : content) {
      String name = stored.tensor().name();
      Job.Output output =
          new Job.Output.Tensor(
              0, name, bytes, Optional.empty(), Optional.empty(), Optional.empty());
      Weight weight =
          new Weight(name, new TensorRole.Foreign(), bytes, stored.bytes(), Optional.empty());
      jobs.add(new Job(weight, List.of(output)));
    }
    long total = content.stream().mapToLong(s -> s.bytes().bytes()).reduce(0, Math::addExact);
    String holds = "tensors " + firstTensor + "-" + (firstTensor + content.size() - 1);
    return new Unit(index + 1, holds, jobs, total);
  }

  private List<Plan.Dropped> leftOut() {
    Set<String> files =
        model.parts().stream().map(GgufParts.Part::file).collect(Collectors.toSet());
    return source.names().stream()
        .filter(name -> !files.contains(name))
        .map(name -> new Plan.Dropped(name, "no part of the GGUF model"))
        .toList();
  }
}
