package smelt.calibrate.model;

import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.stream.IntStream;
import smelt.formats.BadInputException;

/// Chooses the next token from logits. The same sampling on the same logits gives the same tokens.
public final class Sampler {

  /// How a token is chosen: a closed set.
  public sealed interface Sampling {

    /// The token with the largest logit; of equal ones the smallest id.
    record Greedy() implements Sampling {}

    /// Drawn by `softmax(logits / temperature)`, from the fewest likeliest tokens that have at
    /// least `topP` of it together; of equally likely ones those with small ids.
    ///
    /// @param temperature above 0
    /// @param topP above 0, at most 1
    /// @param seed of `java.util.Random`, one draw a token
    record Drawn(double temperature, double topP, long seed) implements Sampling {
      public Drawn {
        if (!(temperature > 0 && temperature < Double.POSITIVE_INFINITY)
            || !(topP > 0 && topP <= 1)) {
          throw new IllegalArgumentException("temperature " + temperature + ", top-p " + topP);
        }
      }
    }
  }

  private final Sampling sampling;
  private final Random random;

  public Sampler(Sampling sampling) {
    this.sampling = sampling;
    random =
        switch (sampling) {
          case Sampling.Greedy _ -> new Random(0);
          case Sampling.Drawn drawn -> new Random(drawn.seed());
        };
  }

  /// The next token.
  ///
  /// @param logits one for each token of the vocabulary
  /// @throws BadInputException if one is NaN or infinitely large, as with a damaged model
  public int next(float... logits) {
    for (int id = 0; id < logits.length; id++) {
      if (!(logits[id] < Float.POSITIVE_INFINITY)) {
        throw new BadInputException(
            "logit of token " + id,
            Float.toString(logits[id]),
            "a number",
            "let smelt check look for values of the model that are not finite");
      }
    }
    return switch (sampling) {
      case Sampling.Greedy _ -> largest(logits);
      case Sampling.Drawn drawn -> draw(logits, drawn);
    };
  }

  private static int largest(float[] logits) {
    int best = 0;
    for (int id = 1; id < logits.length; id++) {
      if (logits[id] > logits[best]) {
        best = id;
      }
    }
    return best;
  }

  private int draw(float[] logits, Sampling.Drawn drawn) {
    double most = logits[largest(logits)];
    double[] shares = new double[logits.length];
    Arrays.setAll(shares, id -> Math.exp((logits[id] - most) / drawn.temperature()));
    int[] order = byShare(shares);
    double wanted = drawn.topP() * Arrays.stream(order).mapToDouble(id -> shares[id]).sum();
    double together = 0;
    int kept = 0;
    while (kept < order.length && (kept == 0 || together < wanted)) {
      together += shares[order[kept++]];
    }
    double point = random.nextDouble() * together;
    for (int i = 0; i < kept - 1; i++) {
      point -= shares[order[i]];
      if (point < 0) {
        return order[i];
      }
    }
    return order[kept - 1];
  }

  private static int[] byShare(double[] shares) {
    return IntStream.range(0, shares.length)
        .boxed()
        .sorted(Comparator.comparingDouble((Integer id) -> -shares[id]))
        .mapToInt(Integer::intValue)
        .toArray();
  }
}
