package smelt.verify.report;

/// Names and texts come from models: what a format would interpret is escaped, and what no reader
/// can see (control characters, bidirectional overrides, lone surrogates) becomes `?`.
final class Escape {

  private static final String MARKDOWN = "\\`*_{}[]()#+!|~$@";

  private Escape() {}

  /// For text and attributes of XML and HTML. Line feeds stay.
  static String xml(String text) {
    StringBuilder out = new StringBuilder(text.length() + 16);
    text.codePoints()
        .forEach(c -> {
          switch (c) {
            case '<' -> out.append("&lt;");
            case '>' -> out.append("&gt;");
            case '&' -> out.append("&amp;");
            case '"' -> out.append("&quot;");
            case '\'' -> out.append("&#39;");
            default -> out.appendCodePoint(c == '\n' || visible(c) ? c : '?');
          }
        });
    return out.toString();
  }

  /// For a line or table cell of Markdown, where HTML is interpreted too.
  static String markdown(String text) {
    StringBuilder out = new StringBuilder(text.length() + 16);
    text.codePoints()
        .forEach(c -> {
          switch (c) {
            case '\n' -> out.append("<br>");
            case '<' -> out.append("&lt;");
            case '>' -> out.append("&gt;");
            case '&' -> out.append("&amp;");
            default -> {
              out.append(MARKDOWN.indexOf(c) >= 0 ? "\\" : "");
              out.appendCodePoint(visible(c) ? c : '?');
            }
          }
        });
    return out.toString();
  }

  /// As it is, but for what cannot be seen: for code blocks. Line feeds stay.
  static String plain(String text) {
    StringBuilder out = new StringBuilder(text.length());
    text.codePoints().forEach(c -> out.appendCodePoint(c == '\n' || visible(c) ? c : '?'));
    return out.toString();
  }

  /// The text with U+FFFD for each half of a surrogate pair that stands alone.
  static String whole(String text) {
    StringBuilder out = new StringBuilder(text.length());
    text.codePoints()
        .map(c -> Character.getType(c) == Character.SURROGATE ? 0xFFFD : c)
        .forEach(out::appendCodePoint);
    return out.toString();
  }

  /// The text, or its ends with `...` between where it is longer than `most` characters.
  static String clip(String text, int most) {
    if (text.length() <= most) {
      return text;
    }
    int head = (most - 3) * 2 / 3;
    return text.substring(0, head) + "..." + text.substring(text.length() - (most - 3 - head));
  }

  private static boolean visible(int c) {
    return switch (Character.getType(c)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.UNASSIGNED,
          Character.PRIVATE_USE,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR ->
          false;
      default -> true;
    };
  }
}
