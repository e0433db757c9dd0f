/// The exact plan: from headers, config and recipe alone, every output file, tensor, offset and
/// size, before a byte of weight is read.
package smelt.converter.plan;
