/// Chooses the schemes of a target's parts from what each loses, and writes them as a recipe.
package smelt.converter.choose;
