package smelt.formats.safetensors;

import smelt.formats.ElementType;
import smelt.formats.Shape;

/// One tensor of a safetensors header.
///
/// @param begin first byte, relative to the data section
/// @param end one past the last byte, relative to the data section
public record TensorEntry(String name, ElementType type, Shape shape, long begin, long end) {

  public long bytes() {
    return end - begin;
  }
}
