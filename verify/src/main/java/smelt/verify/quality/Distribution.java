package smelt.verify.quality;

import java.util.SortedMap;
import java.util.TreeMap;

/// A quantity over tokens: its mean with the standard error that takes sequences as units, and its
/// percentiles (the smallest value that at least so many percent of the tokens do not exceed).
///
/// @param percentiles from percent (such as 99.9) to value
public record Distribution(
    double mean,
    double standardError,
    double min,
    double max,
    SortedMap<Double, Double> percentiles) {

  public Distribution {
    percentiles = java.util.Collections.unmodifiableSortedMap(new TreeMap<>(percentiles));
  }
}
