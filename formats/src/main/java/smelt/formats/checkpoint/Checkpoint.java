package smelt.formats.checkpoint;

import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.formats.source.ModelSource;

/// A model as it lies on disk: its config, its shards joined by the index, and every weight with
/// its role and with its decode scales, which may lie in another shard.
///
/// A checkpoint that opens is complete: it has every weight that its config implies, in the shape
/// that the config implies, nothing twice and nothing unknown; every quantized weight has its
/// scales. Only headers were read: whether the numbers are finite is found out when they are used.
public final class Checkpoint {

  private final String location;
  private final ModelConfig config;
  private final Architecture architecture;
  private final List<Shard> shards;
  private final List<Weight> weights;
  private final List<Leftover> leftovers;
  private final List<SideFile> sideFiles;
  private final List<String> notes;
  private final Map<String, Weight> byName;

  Checkpoint(
      String location,
      ModelConfig config,
      Architecture architecture,
      List<Shard> shards,
      List<Weight> weights,
      List<Leftover> leftovers,
      List<SideFile> sideFiles,
      List<String> notes) {
    this.location = location;
    this.config = config;
    this.architecture = architecture;
    this.shards = List.copyOf(shards);
    this.weights = List.copyOf(weights);
    this.leftovers = List.copyOf(leftovers);
    this.sideFiles = List.copyOf(sideFiles);
    this.notes = List.copyOf(notes);
    byName = HashMap.newHashMap(weights.size());
    for (Weight weight : weights) {
      byName.put(weight.name(), weight);
    }
  }

  /// Reads the index and the header of every shard.
  ///
  /// @throws smelt.formats.BadInputException naming all that is wrong at once: files, index,
  ///   missing, doubled or unknown tensors, scales
  /// @throws smelt.formats.UnsupportedException for an architecture or an encoding that Smelt does
  ///   not read
  public static Checkpoint open(ModelSource source) throws IOException {
    return CheckpointReader.open(source);
  }

  /// The same model with other stored forms of its weights.
  ///
  /// @param where what the user named, for messages
  public Checkpoint with(String where, List<Weight> stored) {
    return new Checkpoint(where, config, architecture, shards, stored, leftovers, sideFiles, notes);
  }

  /// The same model with another config and other stored forms of its weights.
  ///
  /// @param where what the user named, for messages
  public Checkpoint with(String where, ModelConfig other, List<Weight> stored) {
    return new Checkpoint(where, other, architecture, shards, stored, leftovers, sideFiles, notes);
  }

  /// What the user named, for messages.
  public String location() {
    return location;
  }

  public ModelConfig config() {
    return config;
  }

  public Architecture architecture() {
    return architecture;
  }

  /// The files of weights, sorted by name.
  public List<Shard> shards() {
    return shards;
  }

  /// All weights in canonical order, see [Architecture#weights].
  public List<Weight> weights() {
    return weights;
  }

  /// The weight that the model has under this name.
  public Optional<Weight> weight(String name) {
    return Optional.ofNullable(byName.get(name));
  }

  /// Stored tensors that are neither weight nor scale and change nothing, in order of their names.
  public List<Leftover> leftovers() {
    return leftovers;
  }

  /// Every file that is not a shard, sorted by name.
  public List<SideFile> sideFiles() {
    return sideFiles;
  }

  /// What is unusual but no error, as sentences.
  public List<String> notes() {
    return notes;
  }

  /// Number of stored tensors: weights, scales and leftovers.
  public long storedTensors() {
    return shards.stream().mapToLong(Shard::tensors).sum();
  }

  /// Bytes of all stored tensors, without headers.
  public long tensorBytes() {
    long weightBytes = weights.stream().mapToLong(Weight::bytes).reduce(0, Math::addExact);
    return leftovers.stream()
        .mapToLong(l -> l.tensor().bytes())
        .reduce(weightBytes, Math::addExact);
  }
}
