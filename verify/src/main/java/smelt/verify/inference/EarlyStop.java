package smelt.verify.inference;

import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import smelt.verify.quality.Metric;
import smelt.verify.quality.TokenScores;
import smelt.verify.quality.Verdict;
import smelt.verify.stats.SequentialTest;

/// Whether more text can change the verdict. A document is looked at once all its sequences are
/// scored, as one: the test wants what is drawn independently.
final class EarlyStop {

  private final Optional<SequentialTest> test;
  private final List<int[]> sequences;
  private final List<Integer> documents;
  private int seen;

  /// @param bound of the mean KL; 0 for none
  /// @param documents for each sequence the number of its document
  EarlyStop(double bound, List<int[]> sequences, List<Integer> documents) {
    this.sequences = sequences;
    this.documents = documents;
    Map<Integer, Integer> tokens = new HashMap<>();
    for (int i = 0; i < documents.size(); i++) {
      tokens.merge(documents.get(i), sequences.get(i).length, Math::addExact);
    }
    int longest = tokens.values().stream().mapToInt(Integer::intValue).max().orElse(1);
    test = bound > 0 ? Optional.of(new SequentialTest(bound, longest)) : Optional.empty();
  }

  /// Whether a fail is certain. One bound is enough for that, and the mean KL has a test that may
  /// be asked again and again. A pass rests on all bounds: see [smelt.verify.quality.Looks].
  boolean isCertain(Comparison comparison) {
    if (test.isEmpty()) {
      return false;
    }
    feed(test.get(), comparison.tokens(), comparison.sequences());
    return test.get().isCertain();
  }

  /// Feeds every document whose last sequence has come since the last call.
  private void feed(SequentialTest into, TokenScores tokens, int scored) {
    Map<Integer, DoubleStream.Builder> complete = new TreeMap<>();
    for (int i = seen; i < scored; i++) {
      if (documents.lastIndexOf(documents.get(i)) == i) {
        complete.put(documents.get(i), DoubleStream.builder());
      }
    }
    IntStream.range(0, tokens.size())
        .forEach(i -> {
          DoubleStream.Builder values = complete.get(documents.get(tokens.sequence()[i]));
          if (values != null) {
            values.add(tokens.kl()[i]);
          }
        });
    complete.values().forEach(values -> into.feed(values.build().toArray()));
    seen = scored;
  }

  /// The verdict with the bound on the mean KL failed, however its limit lies.
  Verdict failing(Verdict verdict) {
    return verdict.failing(
        Metric.MEAN_KL, "a sequential test is certain, at 95 %, that it is beyond its bound");
  }

  String note(int scored) {
    return String.format(
        Locale.ROOT,
        "Stopped after %,d of %,d sequences: a sequential test is certain, at 95 %%, that"
            + " the mean KL is beyond its bound.",
        scored,
        sequences.size());
  }
}
