package smelt.calibrate.model;

import java.io.IOException;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.ModelWeights.Gated;
import smelt.formats.checkpoint.Weight;

/// Multiplies with weights while they stream by, and rounds what goes in as a runtime would.
final class Linears {

  private final Compute compute;
  private final WeightStream stream;
  private final Scratch scratch;
  private final ActivationRounding rounding;

  Linears(Compute compute, WeightStream stream, Scratch scratch) {
    this.compute = compute;
    this.stream = stream;
    this.scratch = scratch;
    rounding = new ActivationRounding(compute.codec(), scratch);
  }

  /// `out = x * weightT`; `x` keeps its values.
  void multiply(Weight weight, Matrix x, Matrix out, Activations activations) throws IOException {
    multiplyRows(weight, 0, WeightStream.rows(weight), x, out, activations);
  }

  /// The same with `rows` rows of the weight from `first` on.
  void multiplyRows(
      Weight weight, long first, long rows, Matrix x, Matrix out, Activations activations)
      throws IOException {
    long mark = scratch.mark();
    Matrix input = rounding.round(activations.of(weight), x);
    stream.read(
        weight,
        first,
        rows,
        (tile, row) -> compute.multiply(input, tile, out.columns(row, tile.rows())));
    scratch.release(mark);
  }

  /// `down(silu(gate(x)) * up(x))`.
  ///
  /// @param x input, and where the result goes
  /// @param gate memory for the first product, as wide as the unit
  /// @param up memory for the second
  void gated(Gated unit, Matrix x, Matrix gate, Matrix up, Activations activations)
      throws IOException {
    multiply(unit.gate(), x, gate, activations);
    multiply(unit.up(), x, up, activations);
    compute.siluMultiply(gate, up, gate);
    multiply(unit.down(), gate, x, activations);
  }

  /// Some rows of a weight as numbers.
  ///
  /// @param out as many rows as are asked for, one behind the other
  void rows(Weight weight, long first, Matrix out) throws IOException {
    stream.decode(compute.codec(), weight, first, out, scratch);
  }

  /// A vector of the model, such as the weight of a norm. The caller releases the scratch.
  Matrix vector(Weight weight) throws IOException {
    Matrix row = scratch.matrix(1, WeightStream.cols(weight));
    stream.decode(compute.codec(), weight, 0, row, scratch);
    return row;
  }
}
