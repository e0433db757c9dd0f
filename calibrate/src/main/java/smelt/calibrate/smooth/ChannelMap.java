package smelt.calibrate.smooth;

/// Which channel a row or column belongs to. They come in blocks of `stride`, heads for example, of
/// which the first `skip` have no channel, and `share` blocks in a row have the same channels:
///
/// ```
/// channel = index / stride / share * (stride - skip) + index % stride - skip
/// ```
///
/// | rows or columns | stride | skip | share |
/// |---|---|---|---|
/// | one channel each | any | 0 | 1 |
/// | rows of `kv_b`: plain key and value of each head | both sizes | key size | 1 |
/// | columns of `o` with grouped heads | head size | 0 | heads of queries for one of values |
public record ChannelMap(int stride, int skip, int share) {

  /// Every row or column has a channel of its own.
  public static final ChannelMap EACH = new ChannelMap(1, 0, 1);

  public ChannelMap {
    if (stride < 1 || skip < 0 || skip >= stride || share < 1) {
      throw new IllegalArgumentException("blocks of " + stride + " without " + skip + ", " + share);
    }
  }

  /// Whether a row or column has a channel.
  public boolean covers(int index) {
    return index % stride >= skip;
  }

  /// The channel of a row or column that has one.
  public int channel(int index) {
    return index / stride / share * (stride - skip) + index % stride - skip;
  }

  /// Number of channels of so many rows or columns.
  public int channels(int count) {
    if (count % (stride * share) != 0) {
      throw new IllegalArgumentException(count + " in blocks of " + stride + " x " + share);
    }
    return count / stride / share * (stride - skip);
  }

  /// The factor of every row or column; 1 for those without a channel.
  float[] spread(float[] factors, int count) {
    float[] spread = new float[count];
    for (int i = 0; i < count; i++) {
      spread[i] = covers(i) ? factors[channel(i)] : 1;
    }
    return spread;
  }

  /// The largest number of the rows or columns of every channel.
  float[] largest(float[] numbers) {
    float[] largest = new float[channels(numbers.length)];
    for (int i = 0; i < numbers.length; i++) {
      if (covers(i)) {
        largest[channel(i)] = Math.max(largest[channel(i)], numbers[i]);
      }
    }
    return largest;
  }
}
