/// The pipeline and the program: recipe, plan, stages, runner, command line.
package smelt.converter;
