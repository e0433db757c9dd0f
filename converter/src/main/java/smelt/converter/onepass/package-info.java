/// Observes, chooses, converts and verifies layer by layer, in one pass over the source.
package smelt.converter.onepass;
