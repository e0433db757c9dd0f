package smelt.verify;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.experts.ExpertFormat;
import smelt.formats.experts.ExpertTensor;
import smelt.formats.experts.ExpertTensor.Content;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// What a folder of experts for KTransformers has that no checkpoint has.
///
/// @param root folder of the `.kt` tree with a `/` behind it; empty for merged safetensors
/// @param slices codes and scales, by the names that they have in merged safetensors
/// @param others names that the runtime does not look for
/// @param twice files that hold what another holds
/// @param sizes what the slices tell of the model; empty when none fits any layout
/// @param listing `kt-weight-manifest.json`
/// @param model config of the model that the experts are of, where it is known
/// @param values what the scan of the data has found; empty when data was not read
record KtFacts(
    Optional<String> root,
    Map<String, Slice> slices,
    List<String> others,
    List<String> twice,
    Optional<Sizes> sizes,
    Document<KtListing> listing,
    Optional<ModelConfig> model,
    Optional<KtScan.Result> values) {

  private static final String FILE_END = ".kt";

  /// Codes or scales of a slice.
  ///
  /// @param type as the header says; empty in a tree
  /// @param named what the name of a `.kt` file says
  record Slice(
      ExpertTensor tensor,
      String file,
      long offset,
      long bytes,
      Optional<ElementType> type,
      Optional<ExpertTensor.KtFile> named) {

    String where() {
      return named.isPresent() ? file : file + ": " + tensor.tensorName();
    }
  }

  /// @param experts one more than the largest number of an expert
  /// @param intermediate rows of a whole up projection
  record Sizes(ExpertFormat format, int nodes, int experts, long hidden, long intermediate) {

    long rows(Projection projection) {
      return projection == Projection.DOWN ? hidden : intermediate / nodes;
    }

    long cols(Projection projection) {
      return projection == Projection.DOWN ? intermediate / nodes : hidden;
    }

    long bytes(ExpertTensor tensor) {
      long rows = rows(tensor.projection());
      return tensor.content() == Content.SCALES
          ? Float.BYTES * rows
          : format.bytes(tensor.projection(), rows, cols(tensor.projection()));
    }
  }

  KtFacts {
    slices = Map.copyOf(slices);
    others = List.copyOf(others);
    twice = List.copyOf(twice);
  }

  KtFacts with(KtScan.Result found) {
    return new KtFacts(root, slices, others, twice, sizes, listing, model, Optional.of(found));
  }

  KtFacts of(Optional<ModelConfig> other) {
    return new KtFacts(root, slices, others, twice, sizes, listing, other.or(() -> model), values);
  }

  /// The slices in the order of their names.
  List<Slice> sorted() {
    return List.copyOf(new TreeMap<>(slices).values());
  }

  /// Empty when the folder holds no packed experts. Safetensors directly in it go before a tree, as
  /// for the runtime.
  static Optional<KtFacts> read(
      ModelSource source, List<Shard> shards, Document<ModelConfig> config) throws IOException {
    Map<String, Slice> slices = new TreeMap<>();
    List<String> others = new ArrayList<>();
    List<String> twice = new ArrayList<>();
    for (Shard shard : shards) {
      for (SourceTensor tensor : shard.tensors()) {
        Optional<ExpertTensor> slice = ExpertTensor.ofTensor(tensor.name());
        if (slice.isEmpty()) {
          others.add(Facts.where(tensor));
        } else {
          slices.putIfAbsent(
              tensor.name(),
              new Slice(
                  slice.get(),
                  tensor.file(),
                  tensor.offset(),
                  tensor.bytes(),
                  Optional.of(tensor.type()),
                  Optional.empty()));
        }
      }
    }
    Optional<String> root = Optional.empty();
    if (shards.isEmpty()) {
      root = readTree(source, slices, others, twice);
    }
    if (slices.isEmpty()) {
      return Optional.empty();
    }
    return Optional.of(
        new KtFacts(
            root,
            slices,
            others,
            twice,
            sizes(slices),
            root.isPresent() ? KtListing.read(source, root.get()) : new Document.Absent<>(),
            config.value(),
            Optional.empty()));
  }

  private static Optional<String> readTree(
      ModelSource source, Map<String, Slice> slices, List<String> others, List<String> twice)
      throws IOException {
    Optional<String> root = Optional.empty();
    for (String name : source.names()) {
      Optional<ExpertTensor.KtFile> file = ExpertTensor.ofPath(name);
      if (file.isPresent() && (root.isEmpty() || root.get().equals(file.get().root()))) {
        root = Optional.of(file.get().root());
        try (ByteSource bytes = source.open(name)) {
          Slice slice =
              new Slice(file.get().tensor(), name, 0, bytes.size(), Optional.empty(), file);
          if (slices.putIfAbsent(file.get().tensor().tensorName(), slice) != null) {
            twice.add(name);
          }
        }
      } else if (name.endsWith(FILE_END)) {
        others.add(name);
      }
    }
    return root;
  }

  /// The layout that most slices fit, with the sizes that their scales tell.
  private static Optional<Sizes> sizes(Map<String, Slice> slices) {
    int nodes = 0;
    int experts = 0;
    Map<Projection, Map<Long, Integer>> rows = new TreeMap<>();
    for (Slice slice : slices.values()) {
      nodes = Math.max(nodes, slice.tensor().node() + 1);
      experts = Math.max(experts, slice.tensor().expert() + 1);
      if (slice.tensor().content() == Content.SCALES) {
        rows.computeIfAbsent(slice.tensor().projection(), _ -> new TreeMap<>())
            .merge(slice.bytes() / Float.BYTES, 1, Integer::sum);
      }
    }
    long hidden = most(rows.getOrDefault(Projection.DOWN, Map.of()));
    long intermediate = nodes * most(rows.getOrDefault(Projection.UP, Map.of()));
    Optional<Sizes> best = Optional.empty();
    long fitting = 0;
    for (ExpertFormat format : ExpertFormat.values()) {
      Sizes sizes = new Sizes(format, nodes, experts, hidden, intermediate);
      long fit =
          hidden < 1 || intermediate < 1
              ? 0
              : slices.values().stream()
                  .filter(s -> s.tensor().content() == Content.CODES)
                  .filter(s -> s.bytes() == sizes.bytes(s.tensor()))
                  .count();
      if (fit > fitting) {
        fitting = fit;
        best = Optional.of(sizes);
      }
    }
    return best;
  }

  private static long most(Map<Long, Integer> counts) {
    return counts.entrySet().stream()
        .max(Map.Entry.comparingByValue())
        .map(Map.Entry::getKey)
        .orElse(0L);
  }
}
