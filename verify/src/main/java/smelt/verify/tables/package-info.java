/// Keeps what a verification found as Arrow IPC files, for questions that the reports do not
/// answer.
///
/// `Schemas` says which tables and columns there are, `Tables` writes all of them.
package smelt.verify.tables;
