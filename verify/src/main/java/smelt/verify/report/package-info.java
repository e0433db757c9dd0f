/// A verification as JSON, Markdown, JUnit XML and one HTML page. Everything that comes from a
/// model is escaped; equal reports give equal bytes. `QualityHtml` composes the page; each plot is
/// a class.
package smelt.verify.report;
