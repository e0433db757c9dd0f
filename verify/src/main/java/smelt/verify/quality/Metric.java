package smelt.verify.quality;

import java.util.Locale;

/// What bounds are set on. Names are llama.cpp's where it has one.
public enum Metric {
  /// Mean KL divergence per token, in nats.
  MEAN_KL(Side.AT_MOST, "nats", "mean KLD"),
  /// The 99.9 % percentile of the KL divergence per token.
  KL_999(Side.AT_MOST, "nats", "99.9 % KLD"),
  /// Share of tokens with the same likeliest token.
  SAME_TOP(Side.AT_LEAST, "share", "same top p"),
  /// `PPL(result) / PPL(source)`, paired.
  PPL_RATIO(Side.AT_MOST, "ratio", "PPL ratio"),
  /// Smallest SQNR of a quantized weight.
  WEIGHT_SQNR(Side.AT_LEAST, "dB", "weight SQNR"),
  /// Smallest local SQNR of a layer.
  LAYER_SQNR(Side.AT_LEAST, "dB", "layer SQNR"),
  /// Smallest mean overlap of routed weight mass of a layer.
  ROUTED_MASS(Side.AT_LEAST, "share", "routed mass"),
  /// Share of weights whose every decoded value has the source's bits.
  BIT_EXACT(Side.AT_LEAST, "share", "bit-exact weights"),
  /// Values of the result that are NaN or infinite.
  NON_FINITE(Side.AT_MOST, "values", "non-finite values"),
  /// Changes of config, files and list of weights that no target makes.
  MODEL_CHANGES(Side.AT_MOST, "changes", "config, files, weights");

  /// On which side of the bound a value must lie.
  public enum Side {
    AT_MOST,
    AT_LEAST
  }

  private final Side side;
  private final String unit;
  private final String title;

  Metric(Side side, String unit, String title) {
    this.side = side;
    this.unit = unit;
    this.title = title;
  }

  /// The name in recipes and tables, such as `mean_kl`.
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /// Whether it is measured on a sample of text, so that it is its limit that is held against the
  /// bound.
  public boolean isSampled() {
    return switch (this) {
      case MEAN_KL, KL_999, SAME_TOP, PPL_RATIO, LAYER_SQNR, ROUTED_MASS -> true;
      case WEIGHT_SQNR, BIT_EXACT, NON_FINITE, MODEL_CHANGES -> false;
    };
  }

  public Side side() {
    return side;
  }

  public String unit() {
    return unit;
  }

  /// The name in reports.
  public String title() {
    return title;
  }
}
