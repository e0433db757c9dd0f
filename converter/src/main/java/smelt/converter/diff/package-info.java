/// What two models have in common and what not, tensor by tensor and file by file.
package smelt.converter.diff;
