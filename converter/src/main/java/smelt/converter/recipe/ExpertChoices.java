package smelt.converter.recipe;

import smelt.formats.experts.ExpertPacker;

/// What a recipe chooses about experts in the order of a CPU's kernels.
///
/// @param numa NUMA nodes that the experts are cut for: the runtime's `--kt-threadpool-count`
/// @param rule how codes and scales are chosen
public record ExpertChoices(int numa, ExpertPacker.Rule rule) {

  /// One node, and the best scales.
  public static final ExpertChoices DEFAULT = new ExpertChoices(1, ExpertPacker.Rule.EXACT);

  /// More nodes than any machine has.
  static final int MOST_NODES = 64;

  public ExpertChoices {
    if (numa < 1 || numa > MOST_NODES) {
      throw new IllegalArgumentException(numa + " NUMA nodes");
    }
  }
}
