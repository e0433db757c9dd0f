/// Results as files for machines and people: JSON, Markdown, JUnit XML. All are written from one
/// neutral record of named checks and figures.
package smelt.converter.report;
