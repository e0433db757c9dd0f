package smelt.formats.checkpoint;

import smelt.formats.ElementType;
import smelt.formats.Shape;

/// One stored tensor and where its bytes lie.
///
/// @param file the shard, relative to the model's root
/// @param offset first byte, from the start of the shard
public record SourceTensor(
    String name, ElementType type, Shape shape, String file, long offset, long bytes) {}
