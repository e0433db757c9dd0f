package smelt.formats.safetensors;

import java.util.List;

/// Checks that tensors cover the data section: from its first byte to its last, no byte twice and
/// none left out.
final class DataCoverage {

  private DataCoverage() {}

  /// @param tensors in file order
  static void check(String file, List<TensorEntry> tensors, long dataStart, long fileSize) {
    Findings findings = new Findings(file);
    long end = 0;
    String previous = "the start of the data";
    for (TensorEntry tensor : tensors) {
      if (tensor.begin() != end) {
        String what = tensor.begin() > end ? "a hole of " : "an overlap of ";
        String found = what + Math.abs(tensor.begin() - end) + " bytes before it";
        String expected = "to begin at data offset " + end + ", after " + previous;
        findings.add(
            tensor.name(),
            Math.addExact(dataStart, Math.min(tensor.begin(), fileSize)),
            found,
            expected,
            "write the file anew with tensors back to back");
      }
      end = Math.max(end, tensor.end());
      previous = "'" + Findings.shortened(tensor.name()) + "'";
    }
    checkEnd(findings, end, previous, dataStart, fileSize);
    findings.throwIfAny();
  }

  private static void checkEnd(
      Findings findings, long end, String last, long dataStart, long fileSize) {
    long data = fileSize - dataStart;
    if (end == data) {
      return;
    }
    String found = "a data section of " + data + " bytes";
    String expected = end + " bytes, where " + last + " ends";
    String remedy =
        data < end
            ? "the file is cut short: get it again"
            : "the file has bytes that belong to no tensor: get it again";
    findings.add(Math.min(fileSize, Math.max(dataStart, end)), found, expected, remedy);
  }
}
