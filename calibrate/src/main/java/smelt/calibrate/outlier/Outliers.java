package smelt.calibrate.outlier;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;

/// Super weights and super experts: single numbers of a `down` linear, and experts, that write
/// massive activations into the hidden state, on which later layers rely. Losing one breaks the
/// model, so a conversion should keep their tensors in a good scheme.
///
/// The output of a `down` is massive if its largest magnitude is
///
/// - more than `SPIKE` times the median of these over all `down` linears, and
/// - more than a tenth of the largest of all.
///
/// A massive output is that of a **super weight** if one number makes it: on that token more than
/// `SHARE` of the energy is in one channel of the input, and in one channel of the output. The
/// weight lies where both cross. An expert with a massive output is a **super expert** if it is
/// among the half percent of the experts with the largest outputs, in any case the largest.
///
/// @param downs `down` linears that tokens went through
public record Outliers(List<SuperWeight> weights, List<SuperExpert> experts, int downs) {

  static final double SPIKE = 20;
  static final double OF_LARGEST = 0.1;
  static final double SHARE = 0.5;
  static final double QUANTILE = 0.995;

  public Outliers {
    weights = List.copyOf(weights);
    experts = List.copyOf(experts);
  }

  /// @param row channel of the output
  /// @param col channel of the input
  /// @param in magnitude there
  /// @param out magnitude there
  public record SuperWeight(Weight down, int row, int col, float in, float out) {
    public String line() {
      return String.format(
          Locale.ROOT,
          "super weight %s[%d, %d]: %.3g in, %.3g out",
          down.name(),
          row,
          col,
          in,
          out);
    }
  }

  /// @param channel of the output
  /// @param out magnitude there
  public record SuperExpert(int layer, int expert, int channel, float out) {
    public String line() {
      return String.format(
          Locale.ROOT,
          "super expert: layer %d, expert %d, %.3g in channel %d of its output",
          layer,
          expert,
          out,
          channel);
    }
  }

  /// Names of the weights to protect: of super weights their own, of super experts all three.
  ///
  /// @param all of the model
  public Set<String> names(List<Weight> all) {
    Set<String> names = new TreeSet<>();
    weights.forEach(weight -> names.add(weight.down().name()));
    for (Weight weight : all) {
      if (weight.role() instanceof TensorRole.RoutedExpert routed
          && experts.stream()
              .anyMatch(e -> e.layer() == routed.layerIndex() && e.expert() == routed.expert())) {
        names.add(weight.name());
      }
    }
    return names;
  }

  static Outliers of(List<Peak> peaks) {
    if (peaks.isEmpty()) {
      return new Outliers(List.of(), List.of(), 0);
    }
    double[] all = peaks.stream().mapToDouble(Peak::out).sorted().toArray();
    double median = all[all.length / 2];
    double massive = Math.max(SPIKE * median, OF_LARGEST * all[all.length - 1]);
    double[] routed =
        peaks.stream()
            .filter(peak -> peak.weight().role() instanceof TensorRole.RoutedExpert)
            .mapToDouble(Peak::out)
            .sorted()
            .toArray();
    double quantile = routed.length == 0 ? 0 : routed[(int) (QUANTILE * routed.length)];
    List<SuperWeight> weights = new ArrayList<>();
    List<SuperExpert> experts = new ArrayList<>();
    for (Peak peak : peaks) {
      if (peak.out() > massive) {
        if (peak.inShare() > SHARE && peak.outShare() > SHARE) {
          weights.add(
              new SuperWeight(
                  peak.weight(), peak.outChannel(), peak.inChannel(), peak.in(), peak.out()));
        }
        if (peak.weight().role() instanceof TensorRole.RoutedExpert expert
            && peak.out() >= quantile) {
          experts.add(
              new SuperExpert(expert.layerIndex(), expert.expert(), peak.outChannel(), peak.out()));
        }
      }
    }
    return new Outliers(weights, experts, peaks.size());
  }
}
