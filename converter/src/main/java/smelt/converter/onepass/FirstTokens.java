package smelt.converter.onepass;

import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.Observer;
import smelt.calibrate.model.Routing;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;

/// Shows an observer the first tokens of a batch and no others, as if the batch had only these.
///
/// Tokens come in order: in a routed expert too, where the first rows are those of its tokens among
/// the first ones of the batch. For one layer.
final class FirstTokens implements Observer {

  private final Observer observer;
  private final long tokens;
  private final Map<String, Long> seen = new HashMap<>();
  private final Map<Integer, Long> ofExpert = new HashMap<>();

  /// @param tokens how many are shown
  FirstTokens(Observer observer, long tokens) {
    this.observer = observer;
    this.tokens = tokens;
  }

  @Override
  public void input(List<Weight> weights, Matrix x) throws IOException {
    Weight first = weights.getFirst();
    long shown =
        first.role() instanceof TensorRole.RoutedExpert expert
            ? ofExpert.getOrDefault(expert.expert(), 0L)
            : tokens;
    long before = seen.getOrDefault(first.name(), 0L);
    seen.put(first.name(), before + x.rows());
    long rows = Math.clamp(shown - before, 0, x.rows());
    if (rows > 0) {
      observer.input(weights, x.rows(0, rows));
    }
  }

  @Override
  public void routed(int layer, Matrix input, long firstToken, Routing routing) throws IOException {
    long rows = Math.clamp(tokens - firstToken, 0, input.rows());
    for (long token = firstToken; token < firstToken + rows; token++) {
      for (int rank = 0; rank < routing.k(); rank++) {
        ofExpert.merge(routing.expert(token, rank), 1L, Long::sum);
      }
    }
    if (rows > 0) {
      observer.routed(layer, input.rows(0, rows), firstToken, routing);
    }
  }

  @Override
  public void scored(int layer, long token, float[] scores, Routing routing) throws IOException {
    if (token < tokens) {
      observer.scored(layer, token, scores, routing);
    }
  }

  /// Only tokens that were shown are asked for.
  @Override
  public int[] further(int layer, int expert) {
    return observer.further(layer, expert);
  }

  @Override
  public void further(Weight down, Matrix x) throws IOException {
    observer.further(down, x);
  }

  @Override
  public void done(List<Weight> weights) throws IOException {
    observer.done(weights);
  }
}
