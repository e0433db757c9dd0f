/// How far a long command has come, for people who watch and for logs.
package smelt.converter.progress;
