package smelt.verify.report;

import java.util.Locale;

/// An SVG drawing inside a page, in units of a pixel. Colours come from the style sheet by class,
/// so that themes and print can change them.
final class Drawing implements AutoCloseable {

  /// Where a text stands, seen from its point.
  enum Anchor {
    START,
    MIDDLE,
    END
  }

  private final Markup page;

  private Drawing(Markup page) {
    this.page = page;
  }

  /// A drawing that shrinks with the page.
  static Drawing fluid(Markup page, String label, double width, double height) {
    return of(page, label, width, height, "fluid");
  }

  /// A drawing of a fixed size, in a box that scrolls.
  static Drawing fixed(Markup page, String label, double width, double height) {
    return of(page, label, width, height, "fixed");
  }

  private static Drawing of(Markup page, String label, double width, double height, String kind) {
    String w = number(width);
    String h = number(height);
    page.open(
        "svg",
        "xmlns",
        "http://www.w3.org/2000/svg",
        "class",
        kind,
        "role",
        "img",
        "aria-label",
        label,
        "viewBox",
        "0 0 " + w + " " + h,
        "width",
        w,
        "height",
        h);
    return new Drawing(page);
  }

  Drawing rect(String kind, double x, double y, double width, double height) {
    page.empty("rect", box(kind, x, y, width, height));
    return this;
  }

  /// A rectangle that says more when pointed at.
  Drawing rect(String kind, double x, double y, double width, double height, String tip) {
    page.open("rect", box(kind, x, y, width, height)).element("title", tip).close();
    return this;
  }

  Drawing line(String kind, double x1, double y1, double x2, double y2) {
    page.empty(
        "line",
        "class",
        kind,
        "x1",
        number(x1),
        "y1",
        number(y1),
        "x2",
        number(x2),
        "y2",
        number(y2));
    return this;
  }

  Drawing path(String kind, CharSequence commands) {
    page.empty("path", "class", kind, "d", commands.toString());
    return this;
  }

  Drawing circle(String kind, double x, double y, double radius, String tip) {
    page.open("circle", "class", kind, "cx", number(x), "cy", number(y), "r", number(radius))
        .element("title", tip)
        .close();
    return this;
  }

  Drawing text(String kind, double x, double y, Anchor anchor, String text) {
    String where = anchor.name().toLowerCase(Locale.ROOT);
    page.element("text", text, "class", kind, "x", number(x), "y", number(y), "text-anchor", where);
    return this;
  }

  @Override
  public void close() {
    page.close().line();
  }

  /// A coordinate, to a tenth.
  static String number(double value) {
    long tenths = Math.round(value * 10);
    String sign = tenths < 0 ? "-" : "";
    long size = Math.abs(tenths);
    return size % 10 == 0 ? sign + size / 10 : sign + size / 10 + "." + size % 10;
  }

  private static String[] box(String kind, double x, double y, double width, double height) {
    return new String[] {
      "class",
      kind,
      "x",
      number(x),
      "y",
      number(y),
      "width",
      number(Math.max(width, 0)),
      "height",
      number(Math.max(height, 0))
    };
  }
}
