/// What the user wants: the targets to make, and which tensors to treat unlike the target's rule.
/// Recipes are YAML files, some of them built in; a mistake in one is refused with its line.
package smelt.converter.recipe;
