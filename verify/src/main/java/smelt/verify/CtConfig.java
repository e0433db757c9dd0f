package smelt.verify;

import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// A `quantization_config` of compressed-tensors.
///
/// @param format the one format of all groups, or `mixed-precision`, or `dense`
/// @param groups in the order of the file
/// @param ignore names and patterns of modules that are left as they are
/// @param violations what the published schema does not allow; see [CtSchema]
record CtConfig(
    Optional<String> format, List<Group> groups, CtTargets ignore, List<Violation> violations) {

  /// Something that the published schema does not allow.
  ///
  /// @param severity a warning where the schema drops what it does not know
  /// @param where the key, such as `config_groups.group_0.weights.strategy`
  record Violation(Severity severity, String where, String found, String expected) {}

  /// @param targets names, `re:` patterns and class names that the group applies to
  record Group(
      String name,
      CtTargets targets,
      Optional<CtArgs> weights,
      Optional<CtArgs> input,
      Optional<String> format) {}

  CtConfig {
    groups = List.copyOf(groups);
    violations = List.copyOf(violations);
  }

  /// The group that encodes a module: an exact name first, then a pattern, then the class name
  /// `Linear`. Empty when the module is ignored or nothing matches.
  Optional<Group> groupOf(String module) {
    return ignore.matches(module) ? Optional.empty() : targetOf(module);
  }

  /// The group whose targets match, whether the module is ignored or not.
  Optional<Group> targetOf(String module) {
    return groups.stream()
        .filter(group -> group.targets().matches(module))
        .findFirst()
        .or(() ->
            groups.stream()
                .filter(group -> group.targets().names().contains("Linear"))
                .findFirst());
  }

  Set<ServingRuntime> servedBy(boolean experts) {
    Set<ServingRuntime> served = ServingRuntime.all();
    for (Group group : groups) {
      served.retainAll(servedBy(group, experts));
    }
    return served;
  }

  /// The runtimes that have a kernel path for a group. From the loaders' own predicates.
  static Set<ServingRuntime> servedBy(Group group, boolean experts) {
    if (group.weights().isEmpty()) {
      return ServingRuntime.all();
    }
    CtArgs weights = group.weights().get();
    if (weights.isFp8Block()) {
      return EnumSet.of(ServingRuntime.VLLM, ServingRuntime.SGLANG);
    }
    if (weights.isFp8()) {
      return ServingRuntime.all();
    }
    if (weights.isInt8Channel() && group.input().isPresent()) {
      return experts
          ? EnumSet.of(ServingRuntime.VLLM, ServingRuntime.ASCEND)
          : ServingRuntime.all();
    }
    if (weights.isPackedInt()) {
      return weights.symmetric()
          ? ServingRuntime.all()
          : EnumSet.of(ServingRuntime.VLLM, ServingRuntime.ASCEND);
    }
    return EnumSet.of(ServingRuntime.VLLM);
  }
}
