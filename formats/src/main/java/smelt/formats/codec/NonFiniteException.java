package smelt.formats.codec;

/// A weight that is NaN or infinite (or becomes infinite in the target's type), or a decode scale
/// that no encoding may have. Whoever knows the tensor adds its name.
public final class NonFiniteException extends RuntimeException {

  private static final long serialVersionUID = 1;

  /// Where in the tile.
  public sealed interface Place {
    /// A weight: row and column, from 0, within the tile.
    record Weight(long row, long col) implements Place {}

    /// A decode scale: its index, from 0, among the tile's scales in row-major order.
    record Scale(long index) implements Place {}
  }

  private final transient Place place;
  private final float value;

  public NonFiniteException(Place place, float value) {
    super(
        switch (place) {
          case Place.Weight(long row, long col) ->
              "weight at row " + row + ", column " + col + " of the tile is " + value;
          case Place.Scale(long index) -> "decode scale " + index + " of the tile is " + value;
        });
    this.place = place;
    this.value = value;
  }

  public Place place() {
    return place;
  }

  /// The value that was found there, times its scale if it is a weight.
  public float value() {
    return value;
  }
}
