package smelt.calibrate.smooth;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.Observer;
import smelt.calibrate.observe.InputStats;
import smelt.calibrate.observe.Site;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;

/// Measures what goes into linears, as plainly as it can be: everything in FP64, each site whole.
final class SiteInputs implements Observer {

  private static final class Sums {
    private long tokens;
    private final float[] absmax;
    private final double[] squares;
    private float min;
    private float max;

    Sums(int channels) {
      absmax = new float[channels];
      squares = new double[channels];
    }

    void add(Matrix x) {
      tokens += x.rows();
      for (long i = 0; i < x.rows(); i++) {
        for (int c = 0; c < absmax.length; c++) {
          float number = x.get(i, c);
          absmax[c] = Math.max(absmax[c], Math.abs(number));
          squares[c] += (double) number * number;
          min = Math.min(min, number);
          max = Math.max(max, number);
        }
      }
    }

    InputStats stats() {
      float[] means = new float[squares.length];
      for (int c = 0; c < means.length; c++) {
        means[c] = (float) (squares[c] / tokens);
      }
      return new InputStats(tokens, min, max, absmax, means);
    }
  }

  private final int layers;
  private final Map<Site, Sums> sums = new HashMap<>();

  SiteInputs(int layers) {
    this.layers = layers;
  }

  /// The shared expert reads what the router has read before.
  @Override
  public void input(List<Weight> weights, Matrix x) {
    TensorRole role = weights.getFirst().role();
    Optional<Site> site = Site.of(role, layers);
    boolean again =
        role instanceof TensorRole.SharedExpert && site.get() instanceof Site.FeedForwardInput;
    if (site.isPresent() && !again) {
      sums.computeIfAbsent(site.get(), _ -> new Sums(Math.toIntExact(x.cols()))).add(x);
    }
  }

  Map<Site, InputStats> stats() {
    return sums.entrySet().stream()
        .collect(Collectors.toMap(Map.Entry::getKey, e -> e.getValue().stats()));
  }
}
