package smelt.verify.report;

import java.util.ArrayDeque;
import java.util.Deque;

/// Writes HTML that is well-formed XML: every element is closed, every text and attribute escaped.
/// Attributes are pairs of name and value.
final class Markup {

  private final StringBuilder out = new StringBuilder(1 << 16);
  private final Deque<String> open = new ArrayDeque<>();

  Markup open(String tag, String... attributes) {
    start(tag, attributes).append('>');
    open.push(tag);
    return this;
  }

  Markup close() {
    out.append("</").append(open.pop()).append('>');
    return this;
  }

  /// Ends the line: for people who read the source.
  Markup line() {
    out.append('\n');
    return this;
  }

  Markup text(String text) {
    out.append(Escape.xml(text));
    return this;
  }

  Markup element(String tag, String text, String... attributes) {
    return open(tag, attributes).text(text).close();
  }

  /// An element without content.
  Markup empty(String tag, String... attributes) {
    start(tag, attributes).append("/>");
    return this;
  }

  /// The page's own style sheet, as it is.
  Markup style(String css) {
    if (css.indexOf('<') >= 0 || css.indexOf('&') >= 0) {
      throw new IllegalArgumentException("a style sheet with markup");
    }
    out.append("<style>\n").append(css).append("</style>");
    return this;
  }

  /// Starts a table with a row of headings; those that start with `#` are of numbers.
  Markup table(String label, String... headings) {
    open("div", "class", "scroll", "tabindex", "0", "role", "region", "aria-label", label);
    open("table").open("thead").open("tr");
    for (String heading : headings) {
      boolean number = heading.startsWith("#");
      String text = number ? heading.substring(1) : heading;
      element("th", text, "scope", "col", "class", number ? "n" : "t");
    }
    return close().close().line().open("tbody");
  }

  /// Ends what [#table] started.
  Markup endTable() {
    return close().close().close().line();
  }

  /// A number in a table.
  Markup number(String text) {
    return element("td", text, "class", "n");
  }

  /// The whole text; all elements are closed.
  String finish() {
    if (!open.isEmpty()) {
      throw new IllegalStateException("open: " + open);
    }
    return out.toString();
  }

  private StringBuilder start(String tag, String... attributes) {
    out.append('<').append(tag);
    for (int i = 0; i < attributes.length; i += 2) {
      out.append(' ').append(attributes[i]).append("=\"");
      out.append(Escape.xml(attributes[i + 1])).append('"');
    }
    return out;
  }
}
