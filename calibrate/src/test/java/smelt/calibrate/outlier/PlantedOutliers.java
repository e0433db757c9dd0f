package smelt.calibrate.outlier;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.ShortBuffer;
import java.nio.file.Path;
import smelt.calibrate.model.EditableModel;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;

/// A copy of the BF16 sample with one super weight and one super expert.
public final class PlantedOutliers {

  static final int ROW = 7;
  static final int COL = 11;
  static final int LAYER = 2;
  static final int EXPERT = 5;

  /// Changes a number of a matrix.
  @FunctionalInterface
  private interface Change {
    float apply(int row, int col, float value);
  }

  private PlantedOutliers() {}

  /// The super weight stands in the dense layer's `down`, at `[ROW, COL]`: the channel that it
  /// reads is 32 times what it was, which other weights of its column undo, and it is large itself.
  static void plantWeight(EditableModel model) throws IOException {
    change(
        model,
        new TensorRole.DenseMlp(0, Projection.UP),
        (row, _, value) -> row == COL ? value * 32 : value);
    change(
        model,
        new TensorRole.DenseMlp(0, Projection.DOWN),
        (row, col, value) -> {
          if (col != COL) {
            return value;
          }
          return row == ROW ? 16 : value / 32;
        });
  }

  /// The super expert writes 256 times what it did.
  static void plantExpert(EditableModel model) throws IOException {
    change(
        model,
        new TensorRole.RoutedExpert(LAYER, EXPERT, Projection.DOWN),
        (_, _, value) -> value * 256);
  }

  private static void change(EditableModel model, TensorRole role, Change change)
      throws IOException {
    Weight weight = model.weight(role);
    byte[] bytes = model.read(weight.codes());
    ShortBuffer numbers = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer();
    int cols = Math.toIntExact(weight.shape().dim(1));
    for (int i = 0; i < numbers.limit(); i++) {
      float value = Float.intBitsToFloat(numbers.get(i) << 16);
      float changed = change.apply(i / cols, i % cols, value);
      numbers.put(i, (short) (Float.floatToRawIntBits(changed) >>> 16));
    }
    model.write(weight.codes(), bytes);
  }

  /// A copy with both.
  public static Path copy(Path sample, Path folder) throws IOException {
    EditableModel model = EditableModel.copy(sample, folder);
    plantWeight(model);
    plantExpert(model);
    return folder;
  }
}
