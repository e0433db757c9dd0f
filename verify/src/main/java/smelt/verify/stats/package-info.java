/// What scores of a sample of text promise about all text. Pure functions and one sequential test,
/// on plain arrays. Tokens of one sequence depend on each other, so the unit of every statement is
/// the sequence. Nothing here depends on the machine: random numbers are the package's own with a
/// fixed seed, and `exp` and `log` are those of [StrictMath].
package smelt.verify.stats;
