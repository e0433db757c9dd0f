package smelt.converter.diff;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import smelt.converter.progress.Progress;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Leftover;
import smelt.formats.checkpoint.SideFile;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;

/// Compares two models.
public final class Differ {

  private record Pair(SourceTensor a, SourceTensor b) {}

  private final ModelSource sourceA;
  private final ModelSource sourceB;
  private final Checkpoint a;
  private final Checkpoint b;

  /// The sources stay the caller's, who closes them.
  public Differ(ModelSource sourceA, ModelSource sourceB) throws IOException {
    this.sourceA = sourceA;
    this.sourceB = sourceB;
    this.a = Checkpoint.open(sourceA);
    this.b = Checkpoint.open(sourceB);
  }

  /// Compares everything. Tensors are read in the order in which they lie in A's shards, and no
  /// further than to the first difference in each.
  ///
  /// @param contents whether the bytes of tensors are compared, or only types and shapes
  public ModelDiff compare(boolean contents, Progress progress) throws IOException {
    SortedMap<String, SourceTensor> tensorsA = tensors(a);
    SortedMap<String, SourceTensor> tensorsB = tensors(b);
    List<ModelDiff.Header> headers = new ArrayList<>();
    List<Pair> alike = new ArrayList<>();
    tensorsA.forEach((name, inA) -> {
      SourceTensor inB = tensorsB.get(name);
      if (inB != null && inA.type() == inB.type() && inA.shape().equals(inB.shape())) {
        alike.add(new Pair(inA, inB));
      } else if (inB != null) {
        headers.add(new ModelDiff.Header(name, words(inA), words(inB)));
      }
    });
    List<ModelDiff.Content> others = contents ? contents(alike, progress) : List.of();
    return new ModelDiff(
        missing(tensorsA, tensorsB),
        missing(tensorsB, tensorsA),
        headers,
        others,
        ConfigDiff.of(a.config().tree(), b.config().tree()),
        files(),
        alike.size() - others.size());
  }

  private static SortedMap<String, SourceTensor> tensors(Checkpoint model) {
    SortedMap<String, SourceTensor> byName = new TreeMap<>();
    for (Weight weight : model.weights()) {
      byName.put(weight.codes().name(), weight.codes());
      weight.scale().ifPresent(scale -> byName.put(scale.name(), scale));
    }
    for (Leftover leftover : model.leftovers()) {
      byName.put(leftover.tensor().name(), leftover.tensor());
    }
    return byName;
  }

  private static List<String> missing(
      SortedMap<String, SourceTensor> here, SortedMap<String, SourceTensor> there) {
    return here.keySet().stream().filter(name -> !there.containsKey(name)).toList();
  }

  private static String words(SourceTensor tensor) {
    return tensor.type() + " " + tensor.shape();
  }

  private List<ModelDiff.Content> contents(List<Pair> alike, Progress progress) throws IOException {
    List<Pair> asTheyLie =
        alike.stream()
            .sorted(
                Comparator.comparing((Pair pair) -> pair.a().file())
                    .thenComparingLong(pair -> pair.a().offset()))
            .toList();
    long bytes = alike.stream().mapToLong(pair -> pair.a().bytes()).sum();
    progress.start(bytes, alike.size());
    List<ModelDiff.Content> found = new ArrayList<>();
    try (ByteComparison comparison = new ByteComparison(sourceA, sourceB)) {
      for (Pair pair : asTheyLie) {
        OptionalLong at = comparison.firstDifference(pair.a(), pair.b());
        progress.advance(pair.a().bytes());
        progress.unitDone();
        at.ifPresent(byteOffset -> found.add(content(pair.a(), byteOffset)));
      }
      comparison.checkUnchanged();
    }
    found.sort(Comparator.comparing(ModelDiff.Content::name));
    return found;
  }

  private static ModelDiff.Content content(SourceTensor tensor, long byteOffset) {
    long element = Math.multiplyExact(byteOffset, 8L) / tensor.type().bits();
    return new ModelDiff.Content(tensor.name(), element, tensor.shape().elements());
  }

  /// Config and index are compared by their meaning elsewhere.
  private List<ModelDiff.OtherFile> files() throws IOException {
    Map<String, SideFile> filesA = sideFiles(a);
    Map<String, SideFile> filesB = sideFiles(b);
    SortedSet<String> names = new TreeSet<>(filesA.keySet());
    names.addAll(filesB.keySet());
    List<ModelDiff.OtherFile> found = new ArrayList<>();
    try (ByteComparison comparison = new ByteComparison(sourceA, sourceB)) {
      for (String name : names) {
        if (!filesB.containsKey(name)) {
          found.add(new ModelDiff.OtherFile(name, ModelDiff.Kind.ONLY_IN_A));
        } else if (!filesA.containsKey(name)) {
          found.add(new ModelDiff.OtherFile(name, ModelDiff.Kind.ONLY_IN_B));
        } else if (!comparison.sameFile(name)) {
          found.add(new ModelDiff.OtherFile(name, ModelDiff.Kind.OTHER_BYTES));
        }
      }
    }
    return found;
  }

  private static Map<String, SideFile> sideFiles(Checkpoint model) {
    return model.sideFiles().stream()
        .filter(file -> file.kind() != SideFile.Kind.CONFIG && file.kind() != SideFile.Kind.INDEX)
        .collect(Collectors.toMap(SideFile::name, file -> file));
  }
}
