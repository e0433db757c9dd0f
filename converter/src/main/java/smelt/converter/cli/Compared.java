package smelt.converter.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import smelt.converter.diff.Differ;
import smelt.converter.diff.ExpertsDiffer;
import smelt.converter.diff.GgufDiffer;
import smelt.converter.diff.ModelDiff;
import smelt.converter.progress.Progress;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.experts.PackedExperts;
import smelt.formats.gguf.GgufModel;
import smelt.formats.source.ModelSource;

/// One side of a comparison.
///
/// @param source what is read; packed experts appear as rows of a checkpoint
/// @param opened what is closed in the end, the last first
record Compared(ModelSource source, Kind kind, Deque<ModelSource> opened) implements AutoCloseable {

  /// What was named.
  private enum Kind {
    CHECKPOINT,
    PACKED,
    GGUF
  }

  /// @param model the checkpoint that packed experts belong to; null where none was named
  static Compared open(Path path, Path model) throws IOException {
    Deque<ModelSource> opened = new ArrayDeque<>();
    try {
      ModelSource source = Inputs.open(path);
      opened.push(source);
      if (GgufModel.isIn(source)) {
        return new Compared(source, Kind.GGUF, opened);
      }
      if (!PackedExperts.isIn(source)) {
        return new Compared(source, Kind.CHECKPOINT, opened);
      }
      if (model == null) {
        throw new BadInputException(
            path.toString(),
            "packed experts",
            "their checkpoint beside them",
            "name it with --model");
      }
      ModelSource base = Models.open(model);
      opened.push(base);
      PackedExperts experts = PackedExperts.open(source, base, Checkpoint.open(base));
      opened.push(experts);
      return new Compared(experts, Kind.PACKED, opened);
    } catch (IOException | RuntimeException e) {
      Inputs.closeAll(opened);
      throw e;
    }
  }

  static ModelDiff diff(Compared a, Compared b, boolean contents, Progress progress)
      throws IOException {
    if (a.kind == Kind.GGUF && b.kind == Kind.GGUF) {
      return new GgufDiffer(a.source, b.source).compare(contents, progress);
    }
    if (a.kind == Kind.GGUF || b.kind == Kind.GGUF) {
      throw new BadInputException(
          b.source.location(),
          "GGUF on one side only",
          "two models of one kind",
          "use verify, which compares what different formats compute");
    }
    if (a.kind == Kind.PACKED || b.kind == Kind.PACKED) {
      return new ExpertsDiffer(a.source, a.checkpoint(), b.source, b.checkpoint())
          .compare(contents, progress);
    }
    return new Differ(a.source, b.source).compare(contents, progress);
  }

  private Checkpoint checkpoint() throws IOException {
    return source instanceof PackedExperts experts ? experts.checkpoint() : Checkpoint.open(source);
  }

  @Override
  public void close() throws IOException {
    Inputs.closeAll(opened);
  }
}
