/// Where a model's bytes come from: a folder, a cache snapshot, or a plain archive of either.
package smelt.formats.source;
