package smelt.converter.tuning;

import java.io.IOException;
import java.lang.foreign.SegmentAllocator;
import java.util.Optional;
import smelt.calibrate.smooth.FoldedRows;
import smelt.calibrate.solve.Method;
import smelt.calibrate.solve.NeverWorse;
import smelt.calibrate.solve.OutputRescale;
import smelt.calibrate.solve.RowGrid;
import smelt.converter.plan.Job;
import smelt.formats.checkpoint.Weight;

/// What a calibration says about the weights of a plan. Safe for several threads; what it gives
/// does not depend on who asks, nor on the order of the questions.
public interface Tuning extends AutoCloseable {

  /// Nothing: the weights alone decide.
  Tuning NONE = new Tuning() {};

  /// How all inputs of a linear are rounded: `round(x / scale) + offset`.
  ///
  /// @param offset from -128 to 127
  record StaticInput(float scale, int offset) {}

  /// A method, and the memory that it needs until it is closed.
  interface Held extends AutoCloseable {

    Method method();

    /// Fits the scale of each row to the output, where the recipe wants it. For one thread, until
    /// this is closed.
    ///
    /// @param memory `OutputRescale.bytes(cols)` are taken from it
    Optional<OutputRescale> rescale(RowGrid grid, int cols, SegmentAllocator memory);

    /// Holds the method's rows against plainly rounded ones, on tokens that the method has not
    /// seen; empty where there are none. For one thread, until this is closed.
    ///
    /// @param memory `NeverWorse.bytes(grid, cols)` are taken from it
    Optional<NeverWorse> guard(RowGrid grid, int cols, SegmentAllocator memory);

    @Override
    void close();
  }

  /// What multiplies the weight's rows before a target rounds it; empty where nothing does.
  default Optional<FoldedRows> folded(int target, Weight weight) throws IOException {
    return Optional.empty();
  }

  /// How a target's codes and scales of the weight are chosen; empty for the target's own rule.
  default Optional<Held> method(int target, Weight weight) throws IOException {
    return Optional.empty();
  }

  /// How much each column of some rows of the weight counts, as they lie in the blocks of a target;
  /// empty where all count alike.
  default Optional<float[]> importance(int target, Weight weight, Job.Piece piece)
      throws IOException {
    return Optional.empty();
  }

  /// How inputs of a weight are rounded where that is known beforehand: with all numbers that were
  /// seen from -128 to 127, and 0 at a whole number.
  default StaticInput staticInput(Weight weight) throws IOException {
    throw new IllegalStateException("static inputs without a calibration table");
  }

  @Override
  default void close() throws IOException {}
}
