/// What was made of a model, whatever its form, as a model that can be compared with its source.
package smelt.converter.result;
