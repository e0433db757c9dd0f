/// Measures whole conversions; started by `./dev bench convert`.
package smelt.converter.bench;
