package smelt.verify.quality;

/// What is taken as drawn independently of each other, and so is resampled as one.
public enum Units {
  /// Documents, with all their pieces.
  DOCUMENTS("document"),
  /// Pieces of plain text, which has no documents: they depend on each other.
  PIECES("piece of plain text"),
  /// Documents and pieces of plain text.
  BOTH("document or piece of plain text");

  private final String one;

  Units(String one) {
    this.one = one;
  }

  /// The word for so many.
  public String word(long count) {
    return count == 1 ? one : plural();
  }

  /// The word for many.
  public String plural() {
    return switch (this) {
      case DOCUMENTS -> "documents";
      case PIECES -> "pieces of plain text";
      case BOTH -> "documents and pieces of plain text";
    };
  }
}
