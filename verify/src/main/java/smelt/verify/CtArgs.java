package smelt.verify;

import java.util.Optional;
import java.util.OptionalInt;

/// How compressed-tensors encodes weights or activations (`QuantizationArgs`).
///
/// @param integer `type` int, otherwise float
/// @param groupSize values that share a scale; -1 stands for a whole row
/// @param block rows and columns that share a scale
record CtArgs(
    int bits,
    boolean integer,
    boolean symmetric,
    Strategy strategy,
    OptionalInt groupSize,
    Optional<Quantization.Block> block,
    Dynamic dynamic) {

  /// Which numbers share a scale.
  enum Strategy {
    TENSOR,
    CHANNEL,
    GROUP,
    BLOCK,
    TOKEN,
    TENSOR_GROUP,
    ATTN_HEAD
  }

  /// When the scale is computed.
  enum Dynamic {
    STATIC,
    DYNAMIC,
    LOCAL
  }

  boolean isFp8() {
    return !integer && bits == 8 && symmetric && dynamic == Dynamic.STATIC && !grouped();
  }

  boolean isFp8Block() {
    return isFp8() && strategy == Strategy.BLOCK;
  }

  boolean isInt8Channel() {
    return integer
        && bits == 8
        && symmetric
        && strategy == Strategy.CHANNEL
        && dynamic == Dynamic.STATIC;
  }

  boolean isPackedInt() {
    return integer
        && (bits == 4 || bits == 8)
        && (strategy == Strategy.CHANNEL || strategy == Strategy.GROUP)
        && dynamic == Dynamic.STATIC;
  }

  /// Whether one stored scale serves the whole tensor.
  boolean isStaticTensor() {
    return bits == 8 && symmetric && strategy == Strategy.TENSOR && dynamic == Dynamic.STATIC;
  }

  /// The same with a zero point, for INT8.
  boolean isStaticShifted() {
    return integer
        && bits == 8
        && !symmetric
        && strategy == Strategy.TENSOR
        && dynamic == Dynamic.STATIC;
  }

  boolean isFp4() {
    return !integer && bits == 4 && symmetric && grouped();
  }

  private boolean grouped() {
    return strategy == Strategy.GROUP || strategy == Strategy.TENSOR_GROUP;
  }
}
