package smelt.calibrate.model;

import java.io.IOException;
import java.util.List;
import java.util.Optional;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.ModelWeights.Gated;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;

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
    rounding = new ActivationRounding(compute, scratch);
  }

  /// `out = x * weightT`; `x` keeps its values.
  void multiply(Weight weight, Matrix x, Matrix out, LayerOptions options) throws IOException {
    multiply(List.of(weight), x, List.of(out), options);
  }

  /// The same with several weights that read one input. It is rounded once for all that follow each
  /// other and round it alike.
  void multiply(List<Weight> weights, Matrix x, List<Matrix> outs, LayerOptions options)
      throws IOException {
    options.observer().input(weights, x);
    long mark = scratch.mark();
    ActivationScheme held = new ActivationScheme.None();
    Matrix input = x;
    for (int i = 0; i < weights.size(); i++) {
      Weight weight = weights.get(i);
      ActivationScheme scheme = options.activations().of(weight);
      if (!ofInput(scheme).equals(held)) {
        scratch.release(mark);
        held = ofInput(scheme);
        input = rounding.round(held, x);
      }
      product(weight, 0, WeightStream.rows(weight), scheme, input, outs.get(i), options.rounding());
    }
    scratch.release(mark);
    if (options.isObserved()) {
      for (int i = 0; i < weights.size(); i++) {
        options.observer().output(weights.get(i), outs.get(i));
      }
    }
  }

  /// `out = x * weightT` with `rows` rows of the weight from `first` on. The input is observed with
  /// the first rows only.
  void multiplyRows(
      Weight weight, long first, long rows, Matrix x, Matrix out, LayerOptions options)
      throws IOException {
    if (options.isObserved() && first == 0) {
      options.observer().input(List.of(weight), x);
    }
    long mark = scratch.mark();
    ActivationScheme scheme = options.activations().of(weight);
    product(weight, first, rows, scheme, rounding.round(scheme, x), out, options.rounding());
    scratch.release(mark);
  }

  /// What of a scheme the rounded input depends on.
  private static ActivationScheme ofInput(ActivationScheme scheme) {
    return scheme instanceof ActivationScheme.IntegerSums sums ? sums.input() : scheme;
  }

  private void product(
      Weight weight,
      long first,
      long rows,
      ActivationScheme scheme,
      Matrix input,
      Matrix out,
      WeightRounding rounded)
      throws IOException {
    Optional<Encoding> other = rounded.of(weight);
    if (other.isPresent()) {
      requirePlain(weight, scheme);
      WeightStream.TileUse use =
          (tile, row) -> compute.multiply(input, tile, out.columns(row, tile.rows()));
      rounded.read(weight, other.get(), first, rows, stream, compute.codec(), use);
      return;
    }
    if (scheme instanceof ActivationScheme.IntegerSums sums) {
      long mark = scratch.mark();
      IntegerOutput output = IntegerOutput.read(sums, first, rows, stream, scratch);
      stream.read(
          weight,
          first,
          rows,
          (tile, row) -> {
            Matrix part = out.columns(row, tile.rows());
            compute.multiply(input, tile, part);
            output.correct(tile, row, part);
          });
      scratch.release(mark);
      return;
    }
    stream.read(
        weight,
        first,
        rows,
        (tile, row) -> compute.multiply(input, tile, out.columns(row, tile.rows())));
  }

  /// Sums of integers have corrections that belong to the codes as they are stored.
  private static void requirePlain(Weight weight, ActivationScheme scheme) {
    if (scheme instanceof ActivationScheme.IntegerSums) {
      throw new IllegalArgumentException(weight.name() + " rounded, and in sums of integers");
    }
  }

  /// `down(silu(gate(x)) * up(x))`.
  ///
  /// @param x input, and where the result goes
  /// @param gate memory for the first product, as wide as the unit
  /// @param up memory for the second
  void gated(Gated unit, Matrix x, Matrix gate, Matrix up, LayerOptions options)
      throws IOException {
    multiply(List.of(unit.gate(), unit.up()), x, List.of(gate, up), options);
    compute.siluMultiply(gate, up, gate);
    multiply(unit.down(), gate, x, options);
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
