package smelt.converter.plan;

import java.util.List;
import java.util.Optional;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;

/// One weight of the source, and what each target makes of it. The weight is read once for all.
public record Job(Weight weight, List<Output> outputs) {

  public Job {
    outputs = List.copyOf(outputs);
  }

  /// What one target makes of the weight.
  ///
  /// @param target index of the target in the plan
  /// @param encoding how the numbers lie in the output; equal to the source's encoding for a copy
  /// @param scale name of the tensor of decode scales, where the encoding has one
  /// @param offset name of a tensor of zero offsets, where the target wants one
  public record Output(
      int target, Encoding encoding, Optional<String> scale, Optional<String> offset) {}

  /// Whether this output holds the source's bytes as they are.
  public boolean copies(Output output) {
    return output.encoding().equals(weight.encoding());
  }
}
