package smelt.verify.quality;

import java.util.List;
import java.util.stream.Stream;

/// What differs between a source and its result beside the values of their weights.
///
/// @param config keys that change what the model computes, such as `config.json rope_theta: 10000
///   -> 1000`
/// @param files files that change how it is used: tokenizer, chat template, generation config, code
/// @param lost names of weights that only the source has; layers of multi-token prediction that the
///   result's config gives up are not among them
/// @param added names of weights that only the result has
/// @param expected changes that a target makes, as sentences
public record ModelChanges(
    List<String> config,
    List<String> files,
    List<String> lost,
    List<String> added,
    List<String> expected) {

  /// No change at all.
  public static final ModelChanges NONE =
      new ModelChanges(List.of(), List.of(), List.of(), List.of(), List.of());

  public ModelChanges {
    config = List.copyOf(config);
    files = List.copyOf(files);
    lost = List.copyOf(lost);
    added = List.copyOf(added);
    expected = List.copyOf(expected);
  }

  /// Every change that a target does not make, in words.
  public List<String> faults() {
    return Stream.of(
            config.stream(),
            files.stream(),
            lost.stream().map(name -> "lost " + name),
            added.stream().map(name -> "added " + name))
        .flatMap(part -> part)
        .toList();
  }

  /// Number of weights that only one of both has.
  int unpaired() {
    return Math.addExact(lost.size(), added.size());
  }
}
