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
          Optional<SourceTensor> codes =
              stored
                  .find(expected.name())
                  .or(() -> stored.find(expected.name() + CodesAndScale.PACKED));
          if (codes.isPresent()) {
            pair(expected, codes.get()).ifPresent(pairs::add);
          } else if (expected.presence() == ExpectedWeight.Presence.REQUIRED
              && !stored.isOutOfReach(expected.name())
              && !stored.isOutOfReach(expected.name() + CodesAndScale.PACKED)) {
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
                  new Weight(pair.name(), pair.role(), encoding, pair.codes(), pair.scale())));
    }
    return new Joined(
        weights, leftovers.stream().sorted(Comparator.comparing(l -> l.tensor().name())).toList());
  }

  /// Empty where the scale may lie in a shard that could not be read.
  private Optional<CodesAndScale> pair(ExpectedWeight expected, SourceTensor codes) {
    used.add(codes.name());
    boolean packed = !codes.name().equals(expected.name());
    Shape shape = packed ? Int4Weights.shape(codes) : codes.shape();
    if (!shape.equals(expected.shape())) {
      problems.add(
          new Problem(
              codes.file() + ": " + codes.name(),
              "shape " + shape,
              "shape " + expected.shape() + ", by " + ModelConfig.FILE,
              NOT_THESE_WEIGHTS));
    }
    if (!packed && !Encodings.isQuantized(codes.type())) {
      return Optional.of(
          new CodesAndScale(expected.name(), expected.role(), codes, Optional.empty()));
    }
    Optional<SourceTensor> scale = Optional.empty();
    boolean outOfReach = false;
    for (String suffix : CodesAndScale.SCALE_SUFFIXES) {
      Optional<SourceTensor> found = stored.find(expected.name() + suffix);
      outOfReach |= stored.isOutOfReach(expected.name() + suffix);
      if (found.isPresent() && scale.isEmpty()) {
        scale = found;
        used.add(found.get().name());
      }
    }
    return scale.isEmpty() && outOfReach
        ? Optional.empty()
        : Optional.of(new CodesAndScale(expected.name(), expected.role(), codes, scale));
  }
}
