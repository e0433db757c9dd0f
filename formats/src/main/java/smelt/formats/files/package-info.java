/// Files that appear whole or not at all.
package smelt.formats.files;
