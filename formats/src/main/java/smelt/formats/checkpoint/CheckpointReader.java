package smelt.formats.checkpoint;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import smelt.formats.BadInputException;
import smelt.formats.Problem;
import smelt.formats.source.ByteSource;
import smelt.formats.source.ModelSource;

/// Opens a checkpoint: finds the shards, reads their headers, joins codes with scales. Problems are
/// collected on the way, and thrown together once no more can be found.
final class CheckpointReader {

  /// Where Ascend's tools say what is quantized, instead of in `config.json`.
  private static final String ASCEND_DESCRIPTION = "quant_model_description.json";

  private CheckpointReader() {}

  static Checkpoint open(ModelSource source) throws IOException {
    try (ShardReader headers = new ShardReader(source)) {
      headers.start(ShardFiles.inRoot(source));
      return open(source, headers);
    }
  }

  private static Checkpoint open(ModelSource source, ShardReader headers) throws IOException {
    List<Problem> problems = new ArrayList<>();
    ShardFiles files = ShardFiles.find(source, problems);
    ModelConfig config = config(source, problems);
    Architecture architecture = Architecture.of(config);
    List<ShardReader.Content> contents = headers.contents(files.shards(), problems);
    List<ShardReader.Content> strays = headers.contents(files.strays(), problems);
    if (contents.isEmpty()) {
      throw new BadInputException(problems);
    }
    StoredTensors stored = StoredTensors.of(contents, problems);
    stored.checkStrays(strays, problems);
    if (files.index().isPresent()) {
      stored.checkIndex(files.index().get(), problems);
    }
    WeightJoiner.Joined joined = new WeightJoiner(config, stored, problems).join(architecture);
    if (!problems.isEmpty()) {
      throw new BadInputException(problems);
    }
    List<SideFile> sideFiles = sideFiles(source, files);
    return new Checkpoint(
        source.location(),
        config,
        architecture,
        contents.stream().map(ShardReader.Content::shard).toList(),
        joined.weights(),
        joined.leftovers(),
        sideFiles,
        notes(config, joined.weights(), sideFiles));
  }

  private static ModelConfig config(ModelSource source, List<Problem> problems) throws IOException {
    try {
      return ModelConfig.read(source);
    } catch (BadInputException e) {
      problems.addAll(e.problems());
      throw new BadInputException(problems);
    }
  }

  private static List<SideFile> sideFiles(ModelSource source, ShardFiles files) throws IOException {
    Set<String> shards = new HashSet<>(files.shards());
    Set<String> strays = new HashSet<>(files.strays());
    Optional<String> index = files.index().map(ShardIndex::file);
    List<SideFile> sideFiles = new ArrayList<>();
    for (String name : source.names()) {
      if (shards.contains(name)) {
        continue;
      }
      SideFile.Kind kind = SideFile.kindOf(name);
      if (name.equals(ModelConfig.FILE)) {
        kind = SideFile.Kind.CONFIG;
      } else if (index.filter(name::equals).isPresent()) {
        kind = SideFile.Kind.INDEX;
      } else if (strays.contains(name)) {
        kind = SideFile.Kind.STRAY_SHARD;
      }
      try (ByteSource file = source.open(name)) {
        sideFiles.add(new SideFile(name, file.size(), kind));
      }
    }
    return sideFiles;
  }

  private static List<String> notes(
      ModelConfig config, List<Weight> weights, List<SideFile> sideFiles) {
    List<String> notes = new ArrayList<>();
    long quantized = weights.stream().filter(w -> w.scale().isPresent()).count();
    boolean described =
        config.quantization().isPresent()
            || sideFiles.stream().anyMatch(f -> f.name().equals(ASCEND_DESCRIPTION));
    if (quantized > 0 && !described) {
      notes.add(
          quantized
              + " weights are quantized, but config.json has no quantization_config; loaders"
              + " would read their codes as plain numbers");
    }
    if (quantized == 0 && config.quantization().isPresent()) {
      notes.add("config.json has a quantization_config, but no weight is quantized");
    }
    Set<String> folded = new HashSet<>();
    for (SideFile file : sideFiles) {
      if (file.kind() == SideFile.Kind.STRAY_SHARD) {
        notes.add(file.name() + " is not in the index and is not part of the model");
      }
      if (!folded.add(file.name().toLowerCase(Locale.ROOT))) {
        notes.add(file.name() + " differs from another file's name only by case");
      }
    }
    return notes;
  }
}
