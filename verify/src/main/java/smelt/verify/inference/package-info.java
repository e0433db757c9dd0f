/// A source and a result side by side: both go through the reference model layer by layer, and what
/// differs is measured.
package smelt.verify.inference;
