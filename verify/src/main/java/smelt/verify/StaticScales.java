package smelt.verify;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import smelt.calibrate.model.ActivationScheme;
import smelt.formats.BadInputException;
import smelt.formats.ElementType;
import smelt.formats.Problem;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Leftover;
import smelt.formats.checkpoint.SourceTensor;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;

/// Reads the static scales that lie beside weights.
///
/// vLLM holds one input scale for each of the modules that it merges, the largest of its parts; and
/// for the routed experts of a layer one for gate and up, and one for down. Where there are zero
/// points, it holds the scale and the zero point of the range that spans those of all parts.
///
/// vLLM-Ascend holds the scale, and then its reciprocal, in the model's type, so inputs are rounded
/// with a slightly different scale than the sums are multiplied with.
final class StaticScales {

  private static final String ZERO_POINT = "input_zero_point";

  private final ModelSource source;
  private final Checkpoint checkpoint;
  private final Map<String, SourceTensor> companions = new HashMap<>();
  private final List<Problem> problems = new ArrayList<>();

  StaticScales(ModelSource source, Checkpoint checkpoint) {
    this.source = source;
    this.checkpoint = checkpoint;
    for (Leftover leftover : checkpoint.leftovers()) {
      companions.put(leftover.tensor().name(), leftover.tensor());
    }
  }

  /// One scale for a whole tensor, symmetric.
  ///
  /// @param types the weights that have one, and the type of the codes
  /// @throws BadInputException naming every scale that is missing or unusable
  Map<String, ActivationScheme> perTensor(Map<Weight, ElementType> types) throws IOException {
    Map<String, Float> largest = new HashMap<>();
    for (Weight weight : types.keySet()) {
      float scale = scale(weight);
      if (scale > 0) {
        largest.merge(merged(module(weight)), scale, Math::max);
      }
    }
    throwProblems();
    Map<String, ActivationScheme> schemes = new HashMap<>();
    types.forEach((weight, type) ->
        schemes.put(
            weight.name(),
            new ActivationScheme.PerTensor(type, largest.get(merged(module(weight))))));
    return schemes;
  }

  /// One scale and one zero point for a whole tensor.
  ///
  /// @throws BadInputException naming every number that is missing or unusable
  Map<String, ActivationScheme> shifted(List<Weight> weights) throws IOException {
    Map<String, Range> ranges = new HashMap<>();
    for (Weight weight : weights) {
      float scale = scale(weight);
      OptionalInt zeroPoint = zeroPoint(weight);
      if (scale > 0 && zeroPoint.isPresent()) {
        ranges.merge(
            merged(module(weight)), Range.of(scale, zeroPoint.getAsInt()), Range::spanning);
      }
    }
    throwProblems();
    Map<String, ActivationScheme> schemes = new HashMap<>();
    weights.forEach(
        weight -> schemes.put(weight.name(), ranges.get(merged(module(weight))).scheme()));
    return schemes;
  }

  /// Values that codes from -128 to 127 stand for.
  record Range(float least, float most) {

    static Range of(float scale, int zeroPoint) {
      return new Range(scale * (-128 - zeroPoint), scale * (127 - zeroPoint));
    }

    Range spanning(Range other) {
      return new Range(Math.min(least, other.least), Math.max(most, other.most));
    }

    /// The zero point is cut to a whole number, not rounded.
    ActivationScheme.Shifted scheme() {
      float scale = (most - least) / 255;
      return new ActivationScheme.Shifted(scale, (int) (-128 - least / scale));
    }
  }

  private OptionalInt zeroPoint(Weight weight) throws IOException {
    Optional<SourceTensor> tensor = companion(weight, ZERO_POINT);
    if (tensor.isEmpty()) {
      return OptionalInt.empty();
    }
    if (tensor.get().shape().elements() != 1 || tensor.get().type() != ElementType.I8) {
      problem(weight, ZERO_POINT, tensor.get().type() + " " + tensor.get().shape(), "one I8");
      return OptionalInt.empty();
    }
    return OptionalInt.of(Scalars.readByte(source, tensor.get()));
  }

  /// Ascend's static W8A8.
  Map<String, ActivationScheme> ascend(List<Weight> weights) throws IOException {
    Map<String, ActivationScheme> schemes = new HashMap<>();
    for (Weight weight : weights) {
      float scale = scale(weight);
      double offset = number(weight, "input_offset", -128, 127);
      Optional<SourceTensor> bias = companion(weight, "quant_bias");
      Optional<SourceTensor> sums = companion(weight, "deq_scale");
      if (scale > 0 && offset == Math.rint(offset) && bias.isPresent() && sums.isPresent()) {
        float factor = inModelType(1 / inModelType(scale));
        schemes.put(
            weight.name(),
            new ActivationScheme.IntegerSums(
                new ActivationScheme.Affine(scale, factor, (int) offset), bias.get(), sums.get()));
      } else if (scale > 0 && !Double.isNaN(offset) && bias.isPresent() && sums.isPresent()) {
        problem(weight, "input_offset", "offset " + offset, "a whole number");
      }
    }
    throwProblems();
    return schemes;
  }

  private void throwProblems() {
    if (!problems.isEmpty()) {
      throw new BadInputException(problems);
    }
  }

  /// NaN where there is none.
  private float scale(Weight weight) throws IOException {
    return (float) number(weight, "input_scale", Float.MIN_NORMAL, Float.MAX_VALUE);
  }

  private double number(Weight weight, String part, double least, double most) throws IOException {
    Optional<SourceTensor> tensor = companion(weight, part);
    if (tensor.isEmpty()) {
      return Double.NaN;
    }
    if (tensor.get().shape().elements() != 1 || !WeightForm.NUMBERS.contains(tensor.get().type())) {
      problem(weight, part, tensor.get().type() + " " + tensor.get().shape(), "one float");
      return Double.NaN;
    }
    double number = Scalars.read(source, tensor.get());
    if (number >= least && number <= most) {
      return number;
    }
    problem(weight, part, String.valueOf(number), "a number from " + least + " to " + most);
    return Double.NaN;
  }

  private Optional<SourceTensor> companion(Weight weight, String part) {
    SourceTensor tensor = companions.get(module(weight) + "." + part);
    if (tensor == null) {
      problem(weight, part, "no such tensor", "it, beside a weight with static activations");
    }
    return Optional.ofNullable(tensor);
  }

  private void problem(Weight weight, String part, String found, String expected) {
    problems.add(
        new Problem(
            checkpoint.location() + ": " + module(weight) + "." + part,
            found,
            expected,
            "quantize the model again, or compare with --activations none"));
  }

  /// What a number becomes in the type that the model computes in.
  private float inModelType(float number) {
    String type = Json.text(checkpoint.config().tree(), "torch_dtype").orElse("bfloat16");
    return switch (type) {
      case "float16" -> Float.float16ToFloat(Float.floatToFloat16(number));
      case "float32" -> number;
      default -> {
        int bits = Float.floatToRawIntBits(number);
        yield Float.intBitsToFloat((bits + 0x7FFF + (bits >>> 16 & 1)) & 0xFFFF_0000);
      }
    };
  }

  static String module(Weight weight) {
    String name = weight.name();
    int dot = name.lastIndexOf('.');
    return dot < 0 ? name : name.substring(0, dot);
  }

  /// A name for what a loader merges the module into.
  private static String merged(String module) {
    Optional<LinearNames.Expert> expert = LinearNames.expert(module);
    String parent = expert.map(LinearNames.Expert::group).orElseGet(() -> parent(module));
    String last = module.substring(module.lastIndexOf('.') + 1);
    for (List<String> group : LinearNames.FUSED) {
      if (group.contains(last)) {
        return parent + "." + group.getFirst();
      }
    }
    return parent + "." + last;
  }

  private static String parent(String module) {
    int dot = module.lastIndexOf('.');
    return dot < 0 ? "" : module.substring(0, dot);
  }
}
