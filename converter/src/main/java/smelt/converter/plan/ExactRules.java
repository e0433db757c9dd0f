package smelt.converter.plan;

import java.util.List;
import smelt.converter.recipe.TargetSpec;
import smelt.formats.Problem;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Transcoder;

/// What a target that keeps codes and scales says of a weight that it could only have by quantizing
/// it again.
final class ExactRules {

  private ExactRules() {}

  /// Whether a tensor holds the weight's codes and scales, perhaps with scales of a wider type.
  static boolean keeps(Weight weight, Job.Output.Tensor output) {
    return new Job(weight, List.of(output)).copies(output)
        || Transcoder.copies(weight.encoding(), output.encoding());
  }

  static Problem problem(Weight weight, TargetSpec spec) {
    return new Problem(
        weight.name(),
        weight.encoding() + ", which would be quantized again for " + spec.target().label(),
        "codes and scales that " + spec.target().label() + " holds as they are",
        "use convert, which rounds, and verify what that costs");
  }
}
