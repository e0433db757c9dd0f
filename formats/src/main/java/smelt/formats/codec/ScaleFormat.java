package smelt.formats.codec;

/// Which values a decode scale may take.
public enum ScaleFormat {
  /// Any positive normal float.
  FLOAT,
  /// Powers of two only, as DeepSeek-V3.1's `"scale_fmt": "ue8m0"` (still stored as F32).
  UE8M0
}
