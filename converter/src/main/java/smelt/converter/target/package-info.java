/// What can be written: one target for each format that a runtime serves.
package smelt.converter.target;
