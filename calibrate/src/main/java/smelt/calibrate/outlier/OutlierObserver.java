package smelt.calibrate.outlier;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.Observer;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;

/// Watches what goes into `down` linears and what comes out, while a model runs. A few hundred
/// tokens are enough: massive activations stand on the first tokens of any text.
public final class OutlierObserver implements Observer {

  private final Map<Weight, Peak> peaks = new LinkedHashMap<>();
  private Largest[] inputs = new Largest[0];

  /// The largest number of a row.
  private record Largest(float magnitude, int channel, double share) {

    static Largest of(Matrix matrix, long row) {
      float most = 0;
      int channel = 0;
      double energy = 0;
      for (int col = 0; col < matrix.cols(); col++) {
        float value = Math.abs(matrix.data().get(Matrix.F32, matrix.at(row, col)));
        energy += (double) value * value;
        if (value > most) {
          most = value;
          channel = col;
        }
      }
      return new Largest(most, channel, energy > 0 ? (double) most * most / energy : 0);
    }
  }

  /// What has been found so far.
  public Outliers outliers() {
    return Outliers.of(List.copyOf(peaks.values()));
  }

  @Override
  public void input(List<Weight> weights, Matrix x) {
    if (weights.stream().anyMatch(OutlierObserver::isDown)) {
      inputs = new Largest[Math.toIntExact(x.rows())];
      for (int row = 0; row < inputs.length; row++) {
        inputs[row] = Largest.of(x, row);
      }
    }
  }

  @Override
  public void output(Weight weight, Matrix out) {
    if (!isDown(weight)) {
      return;
    }
    for (int row = 0; row < out.rows(); row++) {
      Largest largest = Largest.of(out, row);
      Peak before = peaks.get(weight);
      if (before == null || largest.magnitude > before.out()) {
        Largest in = inputs[row];
        peaks.put(
            weight,
            new Peak(
                weight,
                largest.magnitude,
                largest.channel,
                largest.share,
                in.magnitude,
                in.channel,
                in.share));
      }
    }
  }

  private static boolean isDown(Weight weight) {
    return switch (weight.role()) {
      case TensorRole.DenseMlp mlp -> mlp.projection() == Projection.DOWN;
      case TensorRole.SharedExpert expert -> expert.projection() == Projection.DOWN;
      case TensorRole.RoutedExpert expert -> expert.projection() == Projection.DOWN;
      case TensorRole.Embedding _,
          TensorRole.Head _,
          TensorRole.FinalNorm _,
          TensorRole.Norm _,
          TensorRole.Attention _,
          TensorRole.AttentionBias _,
          TensorRole.Indexer _,
          TensorRole.Router _,
          TensorRole.RouterBias _,
          TensorRole.Mtp _,
          TensorRole.Foreign _ ->
          false;
    };
  }
}
