package smelt.verify;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import smelt.formats.checkpoint.ModelConfig;
import tools.jackson.databind.JsonNode;

/// What a checkpoint says of itself about how its weights are encoded: `quantization_config` in
/// `config.json`, or Ascend's description file.
sealed interface Quantization {

  /// Nothing is declared: the weights must be plain numbers.
  record None() implements Quantization {}

  /// DeepSeek's FP8 blocks: `quant_method` fp8 with `weight_block_size`.
  ///
  /// @param powersOfTwo `scale_fmt` ue8m0
  record Fp8Block(int rows, int cols, boolean powersOfTwo, List<String> ignored)
      implements Quantization {}

  /// `quant_method` fp8 without blocks: one scale for each weight.
  ///
  /// @param fixedInputs `activation_scheme` static: inputs have a stored scale too
  record Fp8Tensor(boolean fixedInputs, List<String> ignored) implements Quantization {}

  /// SGLang's `blockwise_int8`.
  record Int8Block(int rows, int cols, List<String> ignored) implements Quantization {}

  /// SGLang's `w8a8_int8`: one scale for each output row.
  record Int8Channel(List<String> ignored) implements Quantization {}

  record CompressedTensors(CtConfig config) implements Quantization {}

  record Ascend(Description description) implements Quantization {}

  /// A method that these rules do not know.
  record Other(String method) implements Quantization {}

  /// Something that cannot be understood.
  record Malformed(String why) implements Quantization {}

  static Quantization of(Document<ModelConfig> config, Document<Description> description) {
    if (description.value().isPresent()) {
      return new Ascend(description.value().get());
    }
    if (config.value().isEmpty()) {
      return new None();
    }
    JsonNode node = config.value().get().tree().path("quantization_config");
    if (node.isMissingNode() || node.isNull()) {
      return new None();
    }
    try {
      return parse(node);
    } catch (IllegalArgumentException e) {
      return new Malformed(String.valueOf(e.getMessage()));
    }
  }

  /// Names of modules that a native method leaves as they are; empty for the other methods.
  default List<String> ignored() {
    return switch (this) {
      case Fp8Block(int _, int _, boolean _, List<String> ignored) -> ignored;
      case Fp8Tensor(boolean _, List<String> ignored) -> ignored;
      case Int8Block(int _, int _, List<String> ignored) -> ignored;
      case Int8Channel(List<String> ignored) -> ignored;
      case CompressedTensors(CtConfig config) -> config.ignore().entries();
      case None _, Ascend _, Other _, Malformed _ -> List.of();
    };
  }

  /// A short name for messages.
  default String label() {
    return switch (this) {
      case None _ -> "no quantization_config";
      case Fp8Block b -> "fp8 in blocks of " + b.rows() + "x" + b.cols();
      case Fp8Tensor _ -> "fp8 per tensor";
      case Int8Block b -> "blockwise_int8 in blocks of " + b.rows() + "x" + b.cols();
      case Int8Channel _ -> "w8a8_int8";
      case CompressedTensors(CtConfig config) -> "compressed-tensors " + config.format().orElse("");
      case Ascend(Description d) -> "Ascend " + d.modelType().orElse("");
      case Other(String method) -> method;
      case Malformed _ -> "an unreadable quantization_config";
    };
  }

  /// The runtimes that have a loader for this.
  ///
  /// @param experts whether the model has routed experts
  default Set<ServingRuntime> servedBy(boolean experts) {
    return switch (this) {
      case Fp8Block _ ->
          EnumSet.of(ServingRuntime.VLLM, ServingRuntime.SGLANG, ServingRuntime.KTRANSFORMERS);
      case Fp8Tensor _ -> EnumSet.of(ServingRuntime.VLLM, ServingRuntime.SGLANG);
      case Int8Block _, Int8Channel _ -> EnumSet.of(ServingRuntime.SGLANG);
      case Ascend _ -> EnumSet.of(ServingRuntime.ASCEND);
      case CompressedTensors(CtConfig config) -> config.servedBy(experts);
      case None _, Other _, Malformed _ -> ServingRuntime.all();
    };
  }

  private static Quantization parse(JsonNode node) {
    if (!node.isObject()) {
      throw new IllegalArgumentException("quantization_config is " + node + ", not an object");
    }
    String method =
        Json.text(node, "quant_method")
            .orElseThrow(() -> new IllegalArgumentException("no quant_method"));
    return switch (method) {
      case "fp8" -> fp8(node);
      case "blockwise_int8" -> {
        Block block = block(node).orElseThrow(() -> new IllegalArgumentException("no block size"));
        yield new Int8Block(block.rows(), block.cols(), ignoredIn(node));
      }
      case "w8a8_int8" -> new Int8Channel(ignoredIn(node));
      case "compressed-tensors" -> new CompressedTensors(CtSchema.parse(node));
      default -> new Other(method);
    };
  }

  private static Quantization fp8(JsonNode node) {
    boolean powersOfTwo = Json.text(node, "scale_fmt").filter("ue8m0"::equals).isPresent();
    List<String> ignored = ignoredIn(node);
    Optional<Block> block = block(node);
    return block.isPresent()
        ? new Fp8Block(block.get().rows(), block.get().cols(), powersOfTwo, ignored)
        : new Fp8Tensor(
            Json.text(node, "activation_scheme").filter("static"::equals).isPresent(), ignored);
  }

  /// Rows and columns of `weight_block_size`.
  record Block(int rows, int cols) {}

  private static Optional<Block> block(JsonNode node) {
    JsonNode size = node.path("weight_block_size");
    if (size.isMissingNode() || size.isNull()) {
      return Optional.empty();
    }
    if (!size.isArray() || size.size() != 2 || !positive(size.get(0)) || !positive(size.get(1))) {
      throw new IllegalArgumentException("weight_block_size is " + size);
    }
    return Optional.of(new Block(size.get(0).intValue(), size.get(1).intValue()));
  }

  private static boolean positive(JsonNode node) {
    return node.isIntegralNumber() && node.canConvertToInt() && node.intValue() > 0;
  }

  private static List<String> ignoredIn(JsonNode node) {
    List<String> all = new ArrayList<>();
    for (String key : List.of("ignored_layers", "modules_to_not_convert", "ignore")) {
      all.addAll(Json.texts(node, key));
    }
    return List.copyOf(all);
  }
}
