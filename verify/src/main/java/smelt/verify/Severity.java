package smelt.verify;

import java.util.Locale;

/// How much a finding weighs.
public enum Severity {
  /// The result is wrong, or a runtime refuses it: the check fails.
  FAIL,
  /// It can be served, but something is likely not as meant.
  WARN,
  /// Something that whoever serves it should know, such as a launch flag.
  NOTE;

  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
