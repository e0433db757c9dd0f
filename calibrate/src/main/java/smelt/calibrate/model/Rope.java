package smelt.calibrate.model;

import smelt.calibrate.math.RopeLayout;

/// Rotary position embedding: pair `i` of a head is turned by `position * frequency[i]`.
///
/// @param size numbers of a head that are rotated; even
/// @param theta the base: without scaling, `frequency[i] = theta ^ (-2 i / size)`
public record Rope(int size, double theta, RopeLayout layout, Scaling scaling) {

  public Rope {
    if (size < 2 || size % 2 != 0 || !(theta > 1)) {
      throw new IllegalArgumentException("rope of " + size + " numbers, theta " + theta);
    }
  }

  /// How frequencies are stretched for contexts longer than those of the first training.
  public sealed interface Scaling {

    record None() implements Scaling {}

    /// All frequencies are divided by `factor`: positions are interpolated.
    record Linear(double factor) implements Scaling {}

    /// YaRN: high frequencies stay, low ones are divided by `factor`, with a linear ramp between
    /// the pairs that turn `betaFast` and `betaSlow` times within `originalContext` positions.
    ///
    /// @param magnitude weight of the logarithmic correction of the rotated part (`mscale`)
    /// @param softmaxMagnitude weight of the one that moved into the softmax scale
    ///   (`mscale_all_dim`); 0 where none did
    record Yarn(
        double factor,
        double originalContext,
        double betaFast,
        double betaSlow,
        double magnitude,
        double softmaxMagnitude)
        implements Scaling {

      /// What cosines and sines are multiplied by.
      double rotationFactor() {
        return correction(magnitude) / correction(softmaxMagnitude);
      }

      /// What the softmax scale is multiplied by: once for the query and once for the key.
      double softmaxFactor() {
        return Math.pow(correction(softmaxMagnitude), 2);
      }

      private double correction(double weight) {
        return factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
      }
    }

    /// Llama 3: wavelengths below `originalContext / highFrequencyFactor` stay, those above
    /// `originalContext / lowFrequencyFactor` are multiplied by `factor`, smoothly between.
    record Llama3(
        double factor,
        double lowFrequencyFactor,
        double highFrequencyFactor,
        double originalContext)
        implements Scaling {}
  }

  /// Angle per position of each pair, in radians.
  double[] frequencies() {
    double[] frequencies = new double[size / 2];
    for (int i = 0; i < frequencies.length; i++) {
      double plain = Math.pow(theta, -2.0 * i / size);
      frequencies[i] =
          switch (scaling) {
            case Scaling.None _ -> plain;
            case Scaling.Linear linear -> plain / linear.factor();
            case Scaling.Yarn yarn -> {
              double kept = 1 - ramp(yarn, i);
              yield plain / yarn.factor() * (1 - kept) + plain * kept;
            }
            case Scaling.Llama3 llama -> llama3(llama, plain);
          };
    }
    return frequencies;
  }

  /// What cosines and sines are multiplied by.
  double rotationFactor() {
    return switch (scaling) {
      case Scaling.Yarn yarn -> yarn.rotationFactor();
      case Scaling.None _, Scaling.Linear _, Scaling.Llama3 _ -> 1;
    };
  }

  /// 0 for pairs whose frequency stays, 1 for those whose frequency is divided by the factor.
  private double ramp(Scaling.Yarn yarn, int pair) {
    double low = Math.max(0, Math.floor(pairThatTurns(yarn.betaFast(), yarn.originalContext())));
    double high =
        Math.min(size - 1.0, Math.ceil(pairThatTurns(yarn.betaSlow(), yarn.originalContext())));
    double width = low == high ? 0.001 : high - low;
    return Math.clamp((pair - low) / width, 0, 1);
  }

  /// The pair, as a fraction, that turns so many times within so many positions.
  private double pairThatTurns(double turns, double positions) {
    return size * Math.log(positions / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
  }

  private static double llama3(Scaling.Llama3 llama, double plain) {
    double turns = llama.originalContext() * plain / (2 * Math.PI);
    double low = llama.lowFrequencyFactor();
    double high = llama.highFrequencyFactor();
    double kept = Math.clamp((turns - low) / (high - low), 0, 1);
    return (1 - kept) * plain / llama.factor() + kept * plain;
  }
}
