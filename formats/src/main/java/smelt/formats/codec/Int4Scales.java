package smelt.formats.codec;

/// How the scale of a group of 4-bit codes is chosen.
public enum Int4Scales {
  /// The BF16 number that leaves the least squared error.
  LEAST_ERROR,
  /// `absmax / 7` in F32, rounded to BF16.
  ABSMAX
}
