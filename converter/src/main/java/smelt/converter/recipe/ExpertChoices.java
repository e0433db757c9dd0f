package smelt.converter.recipe;

import smelt.formats.experts.ExpertPacker;

/// What a recipe chooses about experts in the order of a CPU's kernels.
///
/// @param numa NUMA nodes that the experts are cut for: the runtime's `--kt-threadpool-count`
/// @param form which files hold them
/// @param rule how codes and scales are chosen
public record ExpertChoices(int numa, Form form, ExpertPacker.Rule rule) {

  /// The runtime reads the same slices from either.
  public enum Form {
    /// Safetensors, a tensor for each slice and for its scales.
    MERGED,
    /// A folder for each layer and node, a `.kt` file for each slice and for its scales.
    TREE
  }

  /// One node, merged, and the best scales.
  public static final ExpertChoices DEFAULT =
      new ExpertChoices(1, Form.MERGED, ExpertPacker.Rule.EXACT);

  /// More nodes than any machine has.
  public static final int MOST_NODES = 64;

  public ExpertChoices {
    if (numa < 1 || numa > MOST_NODES) {
      throw new IllegalArgumentException(numa + " NUMA nodes");
    }
  }
}
