package smelt.formats.checkpoint;

import java.util.Optional;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.codec.ScaleFormat;
import tools.jackson.databind.JsonNode;

/// What `quantization_config` of a `config.json` says about the weights. The rest of it (activation
/// scheme, lists of what is left alone, ...) stays in [ModelConfig#tree()].
///
/// @param method `quant_method`, such as `fp8`, `w8a8_int8`, `blockwise_int8`, `compressed-tensors`
/// @param format compressed-tensors' `format`, such as `float-quantized`
/// @param block `weight_block_size`, or the block structure of a compressed-tensors group
/// @param scaleFormat `scale_fmt`
public record QuantizationConfig(
    Optional<String> method,
    Optional<String> format,
    Optional<BlockSize> block,
    ScaleFormat scaleFormat) {

  /// Rows and columns that share one scale.
  public record BlockSize(int rows, int cols) {
    public BlockSize {
      if (rows < 1 || cols < 1) {
        throw new IllegalArgumentException("block of " + rows + " x " + cols);
      }
    }
  }

  static QuantizationConfig of(String where, JsonNode node) {
    JsonNode size = node.path("weight_block_size");
    if (size.isMissingNode() || size.isNull()) {
      size = groupBlock(node.path("config_groups"));
    }
    return new QuantizationConfig(
        string(node.path("quant_method")),
        string(node.path("format")),
        block(where, size),
        scaleFormat(where, node.path("scale_fmt")));
  }

  private static Optional<BlockSize> block(String where, JsonNode size) {
    if (size.isMissingNode() || size.isNull()) {
      return Optional.empty();
    }
    if (size.size() == 2 && positive(size.path(0)) && positive(size.path(1))) {
      return Optional.of(new BlockSize(size.path(0).intValue(), size.path(1).intValue()));
    }
    throw new BadInputException(
        where,
        "a weight block size of " + size,
        "two positive whole numbers, such as [128, 128]",
        "correct this value");
  }

  private static boolean positive(JsonNode node) {
    return node.isIntegralNumber() && node.canConvertToInt() && node.intValue() > 0;
  }

  /// The first block structure among the groups of a compressed-tensors config.
  private static JsonNode groupBlock(JsonNode groups) {
    for (JsonNode group : groups) {
      JsonNode block = group.path("weights").path("block_structure");
      if (block.isArray()) {
        return block;
      }
    }
    return groups.path("none");
  }

  private static ScaleFormat scaleFormat(String where, JsonNode node) {
    if (node.isMissingNode() || node.isNull()) {
      return ScaleFormat.FLOAT;
    }
    if (node.isString() && node.stringValue().equals("ue8m0")) {
      return ScaleFormat.UE8M0;
    }
    throw new UnsupportedException(
        where + ": scale_fmt " + node, "known are ue8m0 and no scale_fmt at all");
  }

  private static Optional<String> string(JsonNode node) {
    return node.isString() ? Optional.of(node.stringValue()) : Optional.empty();
  }
}
