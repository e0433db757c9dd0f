package smelt.verify.tensors;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import smelt.formats.BadInputException;
import smelt.formats.Problem;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.TileDecoder;

/// Which weights of two checkpoints belong together: those of the same name.
///
/// @param pairs in the result's order
/// @param missing names of the source's weights that the result lacks, in the source's order
/// @param added names of the result's weights that the source lacks, in the result's order
record Pairing(List<Pair> pairs, List<String> missing, List<String> added) {

  /// A weight in both.
  record Pair(Weight source, Weight result) {}

  Pairing {
    pairs = List.copyOf(pairs);
    missing = List.copyOf(missing);
    added = List.copyOf(added);
  }

  /// @throws BadInputException naming every weight whose shape differs
  /// @throws UnsupportedException for an encoding that cannot be decoded
  static Pairing of(Checkpoint source, Checkpoint result) {
    List<Pair> pairs = new ArrayList<>();
    List<String> added = new ArrayList<>();
    List<Problem> problems = new ArrayList<>();
    for (Weight weight : result.weights()) {
      Optional<Weight> original = source.weight(weight.name());
      if (original.isEmpty()) {
        added.add(weight.name());
        continue;
      }
      requireReadable(weight);
      requireReadable(original.get());
      if (weight.shape().equals(original.get().shape())) {
        pairs.add(new Pair(original.get(), weight));
      } else {
        problems.add(
            new Problem(
                weight.codes().file() + ": " + weight.name(),
                "shape " + weight.shape(),
                "shape " + original.get().shape() + " as in " + source.location(),
                "compare the result with the model that it was made from"));
      }
    }
    if (!problems.isEmpty()) {
      throw new BadInputException(problems);
    }
    List<String> missing =
        source.weights().stream()
            .map(Weight::name)
            .filter(name -> result.weight(name).isEmpty())
            .toList();
    return new Pairing(pairs, missing, added);
  }

  private static void requireReadable(Weight weight) {
    if (!TileDecoder.canRead(weight.encoding())) {
      throw new UnsupportedException(
          weight.codes().file() + ": " + weight.name() + " as " + weight.encoding(),
          "weights in BF16, F16, F32, and in E4M3, E5M2 or INT8 with scales, can be compared");
    }
  }
}
