/// Verification of what the converter writes, from end to end.
package smelt.converter.quality;
