package smelt.verify.quality;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/// What a kind of conversion may cost: bounds to start from, each of which a recipe can replace.
/// They are for a source that is taken as it is, FP8 sources decoded, and are set from published
/// tables of KL divergence and from the noise of the encodings.
///
/// `FP8` is FP8 weights in blocks of 128 x 128 with FP8 activations in groups of 128. An E4M3 code
/// has four significant bits, so its rounding noise lies 31.5 dB below the signal whatever the
/// tensor's shape: above that of INT8 per row (36 to 42 dB), below that of INT4 (11 to 17 dB). A
/// gated MLP of random weights rounded so comes out at 24 dB; at 28 dB where the weights were FP8
/// before and only activations are rounded; with INT8 weights and activations at 27 to 29 dB. So
/// its bounds on SQNR lie below those of `W8A8`, about 2 dB under what rounding alone gives, and
/// not between `BF16` and `W8A8`; its bounds on tokens are those of `W8A8`.
///
/// Each bit less in blocks of GGUF takes 6 dB from the weights and multiplies the KL by about four;
/// `INT6_WEIGHT` to `INT4_WEIGHT` go down from `INT8_WEIGHT` by that, with room for the types whose
/// scales are coarse.
public enum Profile {
  // mean KL, 99.9 % KL, same top, PPL ratio, weight dB, layer dB, routed mass
  /// The same values in another layout.
  LOSSLESS(0, 0, 1, 1, Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY, Profile.ALL_MASS),
  /// Decoded to BF16.
  BF16(1e-4, 1e-2, 0.997, 1.0005, 50, 50, 0.998),
  /// FP8 weights and activations.
  FP8(1e-2, 0.3, 0.94, 1.005, 30, 22, 0.98),
  /// INT8 weights, activations as they are.
  INT8_WEIGHT(2e-3, 0.05, 0.97, 1.003, 35, 33, 0.99),
  /// INT8 weights, INT8 activations per token.
  W8A8(1e-2, 0.3, 0.94, 1.005, 35, 28, 0.98),
  /// INT4 experts, for CPUs.
  INT4_EXPERTS(3e-2, 1.0, 0.90, 1.02, 18, 15, 0.97),
  /// All weights in blocks of six bits, activations as they are.
  INT6_WEIGHT(5e-3, 0.15, 0.96, 1.004, 32, 30, 0.98),
  /// All weights in blocks of five bits, activations as they are.
  INT5_WEIGHT(1.2e-2, 0.4, 0.93, 1.01, 25, 24, 0.97),
  /// All weights in blocks of four bits, activations as they are.
  INT4_WEIGHT(4e-2, 1.0, 0.88, 1.03, 18, 18, 0.95);

  /// Routing weights divided by their sum add up to 1 but for rounding.
  private static final double ALL_MASS = 1 - 1e-6;

  private final double meanKl;
  private final double kl999;
  private final double sameTop;
  private final double pplRatio;
  private final double weightDb;
  private final double layerDb;
  private final double routedMass;

  Profile(
      double meanKl,
      double kl999,
      double sameTop,
      double pplRatio,
      double weightDb,
      double layerDb,
      double routedMass) {
    this.meanKl = meanKl;
    this.kl999 = kl999;
    this.sameTop = sameTop;
    this.pplRatio = pplRatio;
    this.weightDb = weightDb;
    this.layerDb = layerDb;
    this.routedMass = routedMass;
  }

  /// The name in recipes, such as `int8-weight`.
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /// The profile of a name, as [#label] writes it.
  public static Optional<Profile> of(String label) {
    return Arrays.stream(values()).filter(profile -> profile.label().equals(label)).findFirst();
  }

  /// The profile's own bounds. None allows a value that is not finite, or a change of the model
  /// beside its weights' values; `LOSSLESS` also wants every weight's bits.
  public Bounds bounds() {
    Map<Metric, Double> bounds = new EnumMap<>(Metric.class);
    bounds.put(Metric.MEAN_KL, meanKl);
    bounds.put(Metric.KL_999, kl999);
    bounds.put(Metric.SAME_TOP, sameTop);
    bounds.put(Metric.PPL_RATIO, pplRatio);
    bounds.put(Metric.WEIGHT_SQNR, weightDb);
    bounds.put(Metric.LAYER_SQNR, layerDb);
    bounds.put(Metric.ROUTED_MASS, routedMass);
    bounds.put(Metric.NON_FINITE, 0.0);
    bounds.put(Metric.MODEL_CHANGES, 0.0);
    if (this == LOSSLESS) {
      bounds.put(Metric.BIT_EXACT, 1.0);
    }
    return new Bounds(bounds);
  }
}
