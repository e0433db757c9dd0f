package smelt.calibrate.solve;

/// The order in which GPTQ rounds columns. Those at the end take up the errors of all before.
public enum ColumnOrder {
  /// As they are.
  GIVEN,
  /// From the largest to the smallest mean square of the input; equal ones as they are. Columns
  /// that matter are rounded while there is least to take up.
  DESCENDING
}
