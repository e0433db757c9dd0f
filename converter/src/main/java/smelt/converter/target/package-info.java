/// The targets: what each quantizes, how its files are laid out, and the config that its loaders
/// read.
package smelt.converter.target;
