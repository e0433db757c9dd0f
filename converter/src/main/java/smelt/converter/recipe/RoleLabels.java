package smelt.converter.recipe;

import java.util.SortedSet;
import java.util.TreeSet;
import java.util.stream.Stream;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;

/// The labels that a role selector may name.
final class RoleLabels {

  private static final SortedSet<String> ALL = collect();

  private RoleLabels() {}

  /// Every label, and the first part of every dotted one.
  static SortedSet<String> all() {
    return java.util.Collections.unmodifiableSortedSet(ALL);
  }

  /// One role of every kind and part.
  static Stream<TensorRole> examples() {
    return Stream.of(
            Stream.of(
                new TensorRole.Embedding(),
                new TensorRole.Head(),
                new TensorRole.FinalNorm(),
                new TensorRole.Norm(0),
                new TensorRole.AttentionBias(0, TensorRole.AttentionPart.Q),
                new TensorRole.DenseMlp(0, Projection.GATE),
                new TensorRole.Router(0),
                new TensorRole.RouterBias(0),
                new TensorRole.RoutedExpert(0, 0, Projection.GATE),
                new TensorRole.SharedExpert(0, Projection.GATE)),
            Stream.of(TensorRole.AttentionPart.values())
                .map(part -> new TensorRole.Attention(0, part)),
            Stream.of(TensorRole.IndexerPart.values()).map(part -> new TensorRole.Indexer(0, part)),
            Stream.of(TensorRole.MtpPart.values()).map(part -> new TensorRole.Mtp(0, part)))
        .flatMap(roles -> roles);
  }

  private static SortedSet<String> collect() {
    SortedSet<String> labels = new TreeSet<>();
    examples()
        .map(TensorRole::label)
        .forEach(label -> {
          labels.add(label);
          int dot = label.indexOf('.');
          if (dot > 0) {
            labels.add(label.substring(0, dot));
          }
        });
    return labels;
  }
}
