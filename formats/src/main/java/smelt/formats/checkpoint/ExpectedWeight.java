package smelt.formats.checkpoint;

import smelt.formats.Shape;

/// A weight that a model of a given config has.
///
/// @param name the checkpoint's name for it
/// @param shape the shape of its numbers, whatever their encoding
/// @param presence whether a checkpoint without it is complete
public record ExpectedWeight(String name, TensorRole role, Shape shape, Presence presence) {

  public enum Presence {
    REQUIRED,
    /// May be left out, such as the head of a model whose head is its embedding.
    OPTIONAL
  }

  static ExpectedWeight required(String name, TensorRole role, long... shape) {
    return new ExpectedWeight(name, role, Shape.of(shape), Presence.REQUIRED);
  }

  static ExpectedWeight optional(String name, TensorRole role, long... shape) {
    return new ExpectedWeight(name, role, Shape.of(shape), Presence.OPTIONAL);
  }
}
