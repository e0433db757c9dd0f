package smelt.formats.checkpoint;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import smelt.formats.Problem;
import smelt.formats.Shape;

/// Makes the weights of a checkpoint from its stored tensors: finds each weight that the
/// architecture expects, joins it with its scales, and accounts for every tensor that is left.
final class WeightJoiner {

  private static final String NOT_THESE_WEIGHTS =
      "check that " + ModelConfig.FILE + " belongs to these weights";

  /// What came of it.
  record Joined(List<Weight> weights, List<Leftover> leftovers) {}

  private final ModelConfig config;
  private final StoredTensors stored;
  private final List<Problem> problems;
  private final Set<String> used = new HashSet<>();

  WeightJoiner(ModelConfig config, StoredTensors stored, List<Problem> problems) {
    this.config = config;
    this.stored = stored;
    this.problems = problems;
  }

  Joined join(Architecture architecture) {
    List<CodesAndScale> pairs = new ArrayList<>();
    MissingWeights missing = new MissingWeights(config);
    architecture.weights(
        config,
        expected -> {
          Optional<SourceTensor> codes = stored.find(expected.name());
          if (codes.isPresent()) {
            pairs.add(pair(expected, codes.get()));
          } else if (expected.presence() == ExpectedWeight.Presence.REQUIRED) {
            missing.add(expected);
          }
        });
    List<Leftover> leftovers = new UnusedTensors(config, stored, used).account(problems);
    problems.addAll(missing.problems());
    Encodings encodings = Encodings.of(config, pairs);
    List<Weight> weights = new ArrayList<>(pairs.size());
    for (CodesAndScale pair : pairs) {
      encodings
          .encoding(pair, problems)
          .ifPresent(encoding ->
              weights.add(
                  new Weight(
                      pair.codes().name(), pair.role(), encoding, pair.codes(), pair.scale())));
    }
    return new Joined(
        weights, leftovers.stream().sorted(Comparator.comparing(l -> l.tensor().name())).toList());
  }

  private CodesAndScale pair(ExpectedWeight expected, SourceTensor codes) {
    used.add(codes.name());
    Shape shape = codes.shape();
    if (!shape.equals(expected.shape())) {
      problems.add(
          new Problem(
              codes.file() + ": " + codes.name(),
              "shape " + shape,
              "shape " + expected.shape() + ", by " + ModelConfig.FILE,
              NOT_THESE_WEIGHTS));
    }
    if (!Encodings.isQuantized(codes.type())) {
      return new CodesAndScale(expected.role(), codes, Optional.empty());
    }
    Optional<SourceTensor> scale = Optional.empty();
    for (String suffix : CodesAndScale.SCALE_SUFFIXES) {
      Optional<SourceTensor> found = stored.find(codes.name() + suffix);
      if (found.isPresent() && scale.isEmpty()) {
        scale = found;
        used.add(found.get().name());
      }
    }
    return new CodesAndScale(expected.role(), codes, scale);
  }
}
