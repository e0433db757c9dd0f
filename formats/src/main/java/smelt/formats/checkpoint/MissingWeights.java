package smelt.formats.checkpoint;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;
import smelt.formats.Problem;

/// The weights that a checkpoint lacks, as problems.
final class MissingWeights {

  /// That many are named; of the others the number is given.
  private static final int NAMED = 1000;

  private final int layers;
  private final int mtpLayers;
  private final List<String> names = new ArrayList<>();
  private final Set<Integer> mtpLayersSeen = new TreeSet<>();
  private long count;
  private long mtpCount;

  MissingWeights(ModelConfig config) {
    layers = config.numHiddenLayers();
    mtpLayers = config.mtpLayers();
  }

  void add(ExpectedWeight weight) {
    count++;
    OptionalInt layer = weight.role().layer();
    if (layer.isPresent() && layer.getAsInt() >= layers) {
      mtpCount++;
      mtpLayersSeen.add(layer.getAsInt());
    }
    if (names.size() < NAMED) {
      names.add(weight.name());
    }
  }

  List<Problem> problems() {
    String remedy =
        mtpLayersSeen.size() == mtpLayers && mtpCount == count && mtpCount > 0
            ? "download the shards of the MTP layer; or, if it was left out on purpose, set"
                + " num_nextn_predict_layers to 0 in "
                + ModelConfig.FILE
            : "download the missing shard, or check that "
                + ModelConfig.FILE
                + " belongs to these weights";
    List<Problem> problems = new ArrayList<>();
    for (String name : names) {
      problems.add(
          new Problem("the checkpoint", "no tensor " + name, "it, by " + ModelConfig.FILE, remedy));
    }
    if (count > names.size()) {
      problems.add(
          new Problem(
              "the checkpoint",
              (count - names.size()) + " more missing tensors",
              "every tensor that " + ModelConfig.FILE + " implies",
              remedy));
    }
    return problems;
  }
}
