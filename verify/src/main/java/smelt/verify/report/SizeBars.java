package smelt.verify.report;

import smelt.verify.quality.QualityReport;
import smelt.verify.quality.RoleSize;

/// Bytes by role before and after, as pairs of bars in a table.
final class SizeBars {

  private static final double WIDTH = 260;

  private SizeBars() {}

  static void draw(Markup page, QualityReport report) {
    long source = report.subject().sourceBytes();
    long result = report.subject().resultBytes();
    long most = Math.max(1, Math.max(source, result));
    for (RoleSize size : report.sizes()) {
      most = Math.max(most, Math.max(size.sourceBytes(), size.resultBytes()));
    }
    page.table(
        "sizes", "role", "#parameters", "#before", "#after", "#bits each", "before and after");
    for (RoleSize size : report.sizes()) {
      page.open("tr").element("th", size.role(), "scope", "row");
      page.number(Figures.count(size.parameters()));
      bytes(page, size.parameters(), size.sourceBytes(), size.resultBytes(), most);
    }
    long parameters = report.sizes().stream().mapToLong(RoleSize::parameters).sum();
    page.open("tr", "class", "sum").element("th", "all", "scope", "row");
    page.number(Figures.count(parameters));
    bytes(page, parameters, source, result, most);
    page.endTable();
  }

  private static void bytes(Markup page, long parameters, long before, long after, long most) {
    page.number(Figures.bytes(before)).number(Figures.bytes(after));
    page.number(parameters == 0 ? "" : Figures.fixed(8.0 * after / parameters, 2));
    page.open("td");
    String label = Figures.bytes(before) + " before, " + Figures.bytes(after) + " after";
    try (Drawing drawing = Drawing.fixed(page, label, WIDTH, 20)) {
      drawing.rect("before", 0, 2, Math.max(1, WIDTH * before / most), 7);
      drawing.rect("fill1", 0, 11, Math.max(1, WIDTH * after / most), 7);
    }
    page.close().close().line();
  }
}
