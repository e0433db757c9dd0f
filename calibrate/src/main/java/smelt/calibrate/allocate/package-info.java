/// Which scheme each part of a model gets when bytes, or what may be lost, are limited.
package smelt.calibrate.allocate;
