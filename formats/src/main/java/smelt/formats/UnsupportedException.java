package smelt.formats;

/// An input is valid, but not something Smelt can work with.
public final class UnsupportedException extends RuntimeException {

  private static final long serialVersionUID = 1;

  /// @param what what was met, and where
  /// @param supported what would work instead
  public UnsupportedException(String what, String supported) {
    super(what + " is not supported; " + supported);
  }
}
