package smelt.verify;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import smelt.formats.BadInputException;
import smelt.formats.Problem;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.gguf.GgufParts;
import smelt.formats.safetensors.SafetensorsHeader;
import smelt.formats.safetensors.TensorEntry;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// What lies on disk, read once before the rules look at it. No tensor data, except what [DataScan]
/// has found.
///
/// @param shards every readable `*.safetensors` file at the model's root, by name
/// @param unreadable what is wrong with the headers that could not be read
/// @param tensors by name; of a name that several shards hold, the first
/// @param copies the other holders of names that occur more than once
/// @param modules the tensors by module name
/// @param kind what it lies on disk as
/// @param unfinished files and folders that only a conversion in progress has
/// @param data what the scan of the data has found; empty when data was not read
record Facts(
    ModelSource source,
    List<Shard> shards,
    List<Problem> unreadable,
    SortedMap<String, SourceTensor> tensors,
    List<SourceTensor> copies,
    SortedMap<String, WeightModule> modules,
    Document<ModelConfig> config,
    Document<TensorIndex> index,
    Document<Manifest> manifest,
    Document<Description> description,
    Quantization quantization,
    FolderKind kind,
    List<String> unfinished,
    Optional<DataScan.Result> data) {

  /// Why a rule that needs all tensors is skipped.
  static final String INCOMPLETE = "a shard cannot be read";

  static final String SHARD_SUFFIX = ".safetensors";

  /// What a conversion keeps beside its output until it is finished.
  static final String WORK_FOLDER = ".smelt";

  private static final String PART_SUFFIX = ".part";

  static Facts read(ModelSource source) throws IOException {
    List<Shard> shards = new ArrayList<>();
    List<Problem> unreadable = new ArrayList<>();
    for (String name : source.names()) {
      if (name.endsWith(SHARD_SUFFIX) && name.indexOf('/') < 0) {
        try {
          shards.add(readShard(source, name));
        } catch (BadInputException e) {
          unreadable.addAll(e.problems());
        }
      }
    }
    SortedMap<String, SourceTensor> tensors = new TreeMap<>();
    List<SourceTensor> copies = new ArrayList<>();
    for (Shard shard : shards) {
      for (SourceTensor tensor : shard.tensors()) {
        if (tensors.putIfAbsent(tensor.name(), tensor) != null) {
          copies.add(tensor);
        }
      }
    }
    Document<ModelConfig> config = readConfig(source);
    Document<Description> description = Description.read(source);
    return new Facts(
        source,
        List.copyOf(shards),
        List.copyOf(unreadable),
        Collections.unmodifiableSortedMap(tensors),
        List.copyOf(copies),
        modules(tensors),
        config,
        TensorIndex.read(source),
        Manifest.read(source),
        description,
        Quantization.of(config, description),
        kind(source, shards, config),
        source.names().stream().filter(Facts::isUnfinished).toList(),
        Optional.empty());
  }

  private static FolderKind kind(
      ModelSource source, List<Shard> shards, Document<ModelConfig> config) throws IOException {
    Optional<KtFacts> experts = KtFacts.read(source, shards, config);
    if (experts.isPresent()) {
      return new FolderKind.Experts(experts.get());
    }
    return GgufParts.isIn(source)
        ? new FolderKind.Gguf(new GgufFacts(GgufParts.read(source), Optional.empty()))
        : new FolderKind.Checkpoint();
  }

  /// Reads the data.
  Facts scanned(int threads) throws IOException {
    return switch (kind) {
      case FolderKind.Checkpoint _ -> with(DataScan.run(this, threads), kind);
      case FolderKind.Experts(KtFacts kt) -> {
        KtScan.Result found = KtScan.run(source, kt, threads);
        DataScan.Result digests =
            manifest.value().isPresent()
                ? DataScan.run(this, threads)
                : new DataScan.Result(List.of(), Map.of(), Map.of(), found.bytesRead());
        yield with(digests, new FolderKind.Experts(kt.with(found)));
      }
      case FolderKind.Gguf(GgufFacts gguf) -> {
        GgufScan.Result found = GgufScan.run(this, gguf.parts());
        yield with(found.digests(), new FolderKind.Gguf(gguf.with(found.nonFinite())));
      }
    };
  }

  /// With the config of the model that packed experts are of.
  Facts of(Optional<ModelConfig> model) {
    return kind instanceof FolderKind.Experts(KtFacts kt)
        ? with(data, new FolderKind.Experts(kt.of(model)))
        : this;
  }

  private Facts with(DataScan.Result scanned, FolderKind kind) {
    return with(Optional.of(scanned), kind);
  }

  private Facts with(Optional<DataScan.Result> scanned, FolderKind kind) {
    return new Facts(
        source,
        shards,
        unreadable,
        tensors,
        copies,
        modules,
        config,
        index,
        manifest,
        description,
        quantization,
        kind,
        unfinished,
        scanned);
  }

  /// Adds traces of an unfinished conversion that the source does not show, such as a folder.
  Facts with(List<String> traces) {
    List<String> all = new ArrayList<>(unfinished);
    all.addAll(traces);
    return new Facts(
        source,
        shards,
        unreadable,
        tensors,
        copies,
        modules,
        config,
        index,
        manifest,
        description,
        quantization,
        kind,
        List.copyOf(all),
        data);
  }

  private static boolean isUnfinished(String name) {
    return name.startsWith(WORK_FOLDER + "/") || name.endsWith(PART_SUFFIX);
  }

  /// Whether Smelt made it, and so promised more than runtimes demand.
  boolean ours() {
    return !(manifest instanceof Document.Absent<Manifest>);
  }

  /// Failing where Smelt promised, a warning in the work of others.
  Severity promised() {
    return ours() ? Severity.FAIL : Severity.WARN;
  }

  /// Modules whose weight is stored as codes.
  List<WeightModule> quantized() {
    return modules.values().stream().filter(WeightModule::quantized).toList();
  }

  static String where(SourceTensor tensor) {
    return tensor.file() + ": " + tensor.name();
  }

  /// A module's place: that of its weight, or of any part.
  static String where(WeightModule module) {
    SourceTensor part = module.weight().orElseGet(() -> module.parts().values().iterator().next());
    return part.file() + ": " + module.name();
  }

  private static Shard readShard(ModelSource source, String name) throws IOException {
    try (ByteSource file = source.open(name)) {
      SafetensorsHeader header = SafetensorsHeader.read(file);
      List<SourceTensor> tensors = new ArrayList<>(header.tensors().size());
      for (TensorEntry entry : header.tensors()) {
        tensors.add(
            new SourceTensor(
                entry.name(),
                entry.type(),
                entry.shape(),
                name,
                header.offset(entry),
                entry.bytes()));
      }
      return new Shard(
          name, header.fileSize(), header.dataStart() - Long.BYTES, header.metadata(), tensors);
    }
  }

  private static SortedMap<String, WeightModule> modules(SortedMap<String, SourceTensor> tensors) {
    Map<String, Map<String, SourceTensor>> parts = new TreeMap<>();
    tensors.forEach((name, tensor) -> {
      int dot = name.lastIndexOf('.');
      String module = dot < 0 ? "" : name.substring(0, dot);
      parts
          .computeIfAbsent(module, _ -> new LinkedHashMap<>())
          .put(name.substring(dot + 1), tensor);
    });
    SortedMap<String, WeightModule> modules = new TreeMap<>();
    parts.forEach((name, of) -> modules.put(name, new WeightModule(name, of)));
    return Collections.unmodifiableSortedMap(modules);
  }

  static Document<ModelConfig> readConfig(ModelSource source) throws IOException {
    return Json.readBytes(
        source,
        ModelConfig.FILE,
        ModelConfig.SIZE_LIMIT,
        bytes -> ModelConfig.parse(ModelConfig.FILE, bytes));
  }
}
