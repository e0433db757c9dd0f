/// Importance matrices as llama.cpp keeps them: how much each input channel of each weight counts.
/// Both kinds of files are read and written.
package smelt.formats.imatrix;
