package smelt.verify.tensors;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import smelt.formats.codec.Kernels;
import smelt.verify.quality.TensorScore;

/// Compares the weights of a result with the source's a few at a time, as they are written. In the
/// end it has found what [TensorComparison] finds.
///
/// For one thread.
public final class PiecemealComparison {

  private final ComparedModels models;
  private final Kernels kernels;
  private final int threads;
  private final long memoryBytes;
  private final Pairing pairing;
  private final SmoothedPairs smoothed;
  private final Map<String, Integer> places = new HashMap<>();
  private final TensorScore[] scores;

  /// @param threads at most so many; fewer when their memory would exceed `memoryBytes`
  /// @throws smelt.formats.BadInputException naming every weight whose shape differs
  /// @throws smelt.formats.UnsupportedException for an encoding that cannot be decoded
  public PiecemealComparison(
      ComparedModels models, Kernels kernels, int threads, long memoryBytes) {
    this.models = models;
    this.kernels = kernels;
    this.threads = threads;
    this.memoryBytes = memoryBytes;
    pairing = Pairing.of(models.source(), models.result());
    smoothed = SmoothedPairs.of(models.source(), models.smoothed(), pairing.pairs());
    scores = new TensorScore[pairing.pairs().size()];
    for (int i = 0; i < scores.length; i++) {
      places.put(pairing.pairs().get(i).result().name(), i);
    }
  }

  /// Compares those of some weights that are in both models.
  ///
  /// @param names of weights that the result has by now, each once in all; of a smoothed pair the
  ///   first producer with the first of them or before
  public void compare(Collection<String> names) throws IOException {
    List<Integer> wanted =
        names.stream().map(places::get).filter(Objects::nonNull).sorted().toList();
    if (wanted.isEmpty()) {
      return;
    }
    List<Pairing.Pair> pairs = new ArrayList<>();
    wanted.forEach(place -> pairs.add(pairing.pairs().get(place)));
    List<TensorScore> found =
        TensorComparison.scores(pairs, smoothed, models, kernels, threads, memoryBytes, _ -> {});
    for (int i = 0; i < found.size(); i++) {
      scores[wanted.get(i)] = found.get(i);
    }
  }

  /// What was found, once every weight that is in both was compared.
  public TensorComparison.Result result() {
    for (int i = 0; i < scores.length; i++) {
      if (scores[i] == null) {
        throw new IllegalStateException(
            pairing.pairs().get(i).result().name() + " was not compared");
      }
    }
    return new TensorComparison.Result(Arrays.asList(scores), pairing.missing(), pairing.added());
  }
}
