package smelt.calibrate.text;

/// Finds halves of surrogate pairs, which are no characters and have no form in UTF-8.
final class HalfPairs {

  private HalfPairs() {}

  /// Index of the first one; -1 if there is none.
  static int first(String text) {
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (Character.isHighSurrogate(c)
          && i + 1 < text.length()
          && Character.isLowSurrogate(text.charAt(i + 1))) {
        i++;
      } else if (Character.isSurrogate(c)) {
        return i;
      }
    }
    return -1;
  }
}
