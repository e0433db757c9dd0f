package smelt.formats;

/// One thing wrong with an input: where, what was found, what was expected, what to do next.
///
/// @param where the file, and where they are known the tensor and the byte offset
/// @param found what is there
/// @param expected what should be there
/// @param remedy what the reader of the message can do
public record Problem(String where, String found, String expected, String remedy) {

  /// The four parts as one line. Control characters of hostile names are shown as `?`.
  @Override
  public String toString() {
    return printable(where + ": found " + found + "; expected " + expected + "; " + remedy);
  }

  private static String printable(String text) {
    StringBuilder out = new StringBuilder(text.length());
    text.codePoints().forEach(c -> out.appendCodePoint(Character.isISOControl(c) ? '?' : c));
    return out.toString();
  }
}
