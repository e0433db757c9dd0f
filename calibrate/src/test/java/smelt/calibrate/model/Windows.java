package smelt.calibrate.model;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/// Windows of the sample model's test text: 256 token ids each, and the id that follows each of
/// them.
record Windows(List<int[]> inputs, List<int[]> targets) {

  static final int SIZE = 256;

  /// The 32 windows whose figures are published beside the full ones.
  static Windows few(Golden golden) throws IOException {
    List<Integer> numbers =
        golden.json("ppl.json").path("small_windows").valueStream().map(n -> n.intValue()).toList();
    return of(golden, numbers);
  }

  static Windows range(Golden golden, int first, int end) throws IOException {
    return of(golden, IntStream.range(first, end).boxed().toList());
  }

  private static Windows of(Golden golden, List<Integer> numbers) throws IOException {
    double[] text = golden.array("test_tokens.npy").values();
    List<int[]> inputs = new ArrayList<>();
    List<int[]> targets = new ArrayList<>();
    for (int number : numbers) {
      int first = number * SIZE;
      inputs.add(IntStream.range(first, first + SIZE).map(i -> (int) text[i]).toArray());
      targets.add(IntStream.range(first + 1, first + SIZE + 1).map(i -> (int) text[i]).toArray());
    }
    return new Windows(inputs, targets);
  }

  /// Sum of `-ln p(target)` over the tokens of each window.
  double[] losses(float[][] logits) {
    double[] losses = new double[targets.size()];
    for (int i = 0; i < logits.length; i++) {
      int window = i / SIZE;
      losses[window] -= logSoftmax(logits[i])[targets.get(window)[i % SIZE]];
    }
    return losses;
  }

  double perplexity(float[][] logits) {
    double total = Arrays.stream(losses(logits)).sum();
    return Math.exp(total / (targets.size() * (double) SIZE));
  }

  /// Mean over all tokens of `sum p ln(p / q)`.
  static double divergence(float[][] p, float[][] q) {
    return IntStream.range(0, p.length)
        .parallel()
        .mapToDouble(i -> divergence(p[i], q[i]))
        .average()
        .orElseThrow();
  }

  /// The same for each window by itself.
  static double[] divergences(float[][] p, float[][] q) {
    return IntStream.range(0, p.length / SIZE)
        .parallel()
        .mapToDouble(window ->
            IntStream.range(window * SIZE, (window + 1) * SIZE)
                .mapToDouble(i -> divergence(p[i], q[i]))
                .average()
                .orElseThrow())
        .toArray();
  }

  private static double divergence(float[] p, float[] q) {
    double[] lp = logSoftmax(p);
    double[] lq = logSoftmax(q);
    double sum = 0;
    for (int v = 0; v < lp.length; v++) {
      sum += Math.exp(lp[v]) * (lp[v] - lq[v]);
    }
    return sum;
  }

  private static double[] logSoftmax(float[] logits) {
    double max = Double.NEGATIVE_INFINITY;
    for (float logit : logits) {
      max = Math.max(max, logit);
    }
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit - max);
    }
    double[] logs = new double[logits.length];
    for (int v = 0; v < logs.length; v++) {
      logs[v] = logits[v] - max - Math.log(sum);
    }
    return logs;
  }
}
