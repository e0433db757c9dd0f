package smelt.converter.cli;

import smelt.calibrate.observe.CalibrationTable;
import smelt.formats.imatrix.Imatrix;

/// What numbers are chosen from: what `--calibration` names.
sealed interface ChosenBy {

  /// SHA-256, which becomes part of the plan.
  String digest();

  /// What `smelt calibrate` made.
  record Table(CalibrationTable table) implements ChosenBy {
    @Override
    public String digest() {
      return table.digest();
    }
  }

  /// An importance matrix of llama.cpp.
  ///
  /// @param file for messages
  /// @param bytes size of the file
  record Matrix(Imatrix imatrix, String file, long bytes, String digest) implements ChosenBy {}
}
