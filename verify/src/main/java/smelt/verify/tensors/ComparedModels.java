package smelt.verify.tensors;

import java.util.Set;
import smelt.calibrate.smooth.Pair;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ModelSource;

/// Two models whose weights are compared.
///
/// @param sourceModel where `source` lies
/// @param resultModel where `result` lies
/// @param smoothed pairs between whose weights factors may have passed, as the result's manifest
///   says; none where each weight is to be the source's
public record ComparedModels(
    Checkpoint source,
    ModelSource sourceModel,
    Checkpoint result,
    ModelSource resultModel,
    Set<Pair.Kind> smoothed) {

  public ComparedModels {
    smoothed = Set.copyOf(smoothed);
  }

  /// Models of which each weight is to be the source's.
  public ComparedModels(
      Checkpoint source, ModelSource sourceModel, Checkpoint result, ModelSource resultModel) {
    this(source, sourceModel, result, resultModel, Set.of());
  }
}
