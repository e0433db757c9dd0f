/// Turns a calibration into what each weight of a conversion is rounded with: factors that pass
/// between neighbours, importance of columns, factors of second moments.
package smelt.converter.tuning;
