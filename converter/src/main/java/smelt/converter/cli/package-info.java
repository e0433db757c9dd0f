/// The command line: one class for each command, and in one place each what they share: exit codes,
/// error messages, the terminal, options.
///
/// A new command is a class with `@Command`, named in `Main`.
package smelt.converter.cli;
