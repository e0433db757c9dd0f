package smelt.converter.plan;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import smelt.converter.gguf.Slab;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.experts.ExpertFormat;
import smelt.formats.experts.ExpertPacker;
import smelt.formats.gguf.GgmlType;

/// One weight of the source, and what each target makes of it. The weight is read once for all.
///
/// @param outputs in the order of the targets; a target that has no use for the weight has none
public record Job(Weight weight, List<Output> outputs) {

  public Job {
    outputs = List.copyOf(outputs);
  }

  /// What one target makes of the weight.
  public sealed interface Output {

    /// Index of the target in the plan.
    int target();

    /// Names of the tensors that the weight goes into, whole or in part.
    List<String> tensors();

    /// A tensor of a checkpoint, rows in their order.
    ///
    /// @param name of the tensor of codes
    /// @param encoding how the numbers lie in the output; equal to the source's encoding for a copy
    /// @param scale name of the tensor of decode scales, where the encoding has one
    /// @param offset name of a tensor of zero offsets, where the target wants one
    /// @param shape name of a tensor that holds the weight's rows and columns, where the target
    ///   wants one
    /// @param inputs what says how inputs are rounded, where that is known beforehand
    record Tensor(
        int target,
        String name,
        Encoding encoding,
        Optional<String> scale,
        Optional<String> offset,
        Optional<String> shape,
        Optional<StaticInputs> inputs)
        implements Output {

      /// With inputs that the runtime rounds as they come, or not at all.
      public Tensor(
          int target,
          String name,
          Encoding encoding,
          Optional<String> scale,
          Optional<String> offset,
          Optional<String> shape) {
        this(target, name, encoding, scale, offset, shape, Optional.empty());
      }

      @Override
      public List<String> tensors() {
        return Stream.concat(
                Stream.of(Optional.of(name), scale, offset, shape).flatMap(Optional::stream),
                inputs.stream().flatMap(names -> names.all().stream()))
            .toList();
      }
    }

    /// One matrix of one expert in the order of a CPU's kernels, cut for NUMA nodes. The matrix is
    /// handled whole.
    record Experts(int target, ExpertFormat format, ExpertPacker.Rule rule, List<Slice> slices)
        implements Output {

      public Experts {
        slices = List.copyOf(slices);
      }

      @Override
      public List<String> tensors() {
        return slices.stream().flatMap(slice -> Stream.of(slice.weight(), slice.scale())).toList();
      }
    }

    /// Consecutive blocks of one or more tensors of a GGUF file.
    ///
    /// @param rowStep rows of the weight that are handled together: those of a head where heads go
    ///   different ways, those that are interleaved, else 1
    record Blocks(int target, long rowStep, List<Piece> pieces) implements Output {

      public Blocks {
        pieces = List.copyOf(pieces);
      }

      @Override
      public List<String> tensors() {
        return pieces.stream().map(Piece::tensor).distinct().toList();
      }
    }
  }

  /// Names of the tensors of Ascend's static W8A8, which rounds inputs with one scale and offset
  /// that are known beforehand: with `code = round(x / scale) + offset`, a row's result is
  /// `(sum(code * weight code) + bias) * sums`.
  ///
  /// @param scale F32 `[1]`
  /// @param offset F32 `[1]`, a whole number from -128 to 127
  /// @param bias I32 `[rows]`: what the offset adds to each sum, with the sign turned
  /// @param sums F32 `[rows]`: scale of the input times that of the row
  public record StaticInputs(String scale, String offset, String bias, String sums) {
    List<String> all() {
      return List.of(scale, offset, bias, sums);
    }
  }

  /// What one NUMA node gets of an expert's matrix.
  ///
  /// @param weight name of the tensor of packed codes
  /// @param scale name of the tensor of its scales, one a row
  public record Slice(String weight, String scale, ExpertPacker.Region region) {}

  /// Rows of a weight that become consecutive data of a tensor.
  ///
  /// @param at first byte within the tensor
  /// @param order where the numbers of the rows go; rows in another order than their own are
  ///   handled together
  public record Piece(
      String tensor, GgmlType type, long at, long firstRow, long rows, Slab.Order order) {}

  /// Whether this output holds the source's bytes as they are. INT4 of the same groups does, though
  /// the output may allow fewer codes: the ones it does not are refused where they are met.
  public boolean copies(Output.Tensor output) {
    return output.encoding().equals(weight.encoding())
        || output.encoding() instanceof Encoding.Int4 to
            && weight.encoding() instanceof Encoding.Int4 from
            && to.equals(new Encoding.Int4(from.group(), from.scaleType(), to.least()));
  }

  /// What a target makes of the weight; empty when it has no use for it.
  public Optional<Output> output(int target) {
    return outputs.stream().filter(output -> output.target() == target).findFirst();
  }

  /// Whether a target writes the weight with fewer digits than plain numbers have.
  public boolean isRounded(int target) {
    return switch (output(target).orElse(null)) {
      case null -> false;
      case Output.Tensor tensor -> !(tensor.encoding() instanceof Encoding.Plain);
      case Output.Experts _ -> true;
      case Output.Blocks blocks ->
          blocks.pieces().stream().anyMatch(piece -> piece.type().isQuantized());
    };
  }

  /// Whether a target writes the weight as plain numbers of a checkpoint.
  public boolean isPlain(int target) {
    return output(target).orElse(null) instanceof Output.Tensor tensor
        && tensor.encoding() instanceof Encoding.Plain;
  }
}
