package smelt.verify;

import java.util.EnumSet;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/// A program that loads a checkpoint and serves it, and whose demands the rules know.
public enum ServingRuntime {
  VLLM,
  SGLANG,
  /// vllm-ascend and SGLang on NPUs.
  ASCEND,
  /// KTransformers, which computes with the routed experts of some checkpoints on the processor.
  /// Only when it is asked for: what it demands, no other runtime does.
  KTRANSFORMERS;

  /// The name on the command line and in reports.
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /// The runtime of this label; empty when there is none.
  public static Optional<ServingRuntime> named(String label) {
    for (ServingRuntime runtime : values()) {
      if (runtime.label().equals(label)) {
        return Optional.of(runtime);
      }
    }
    return Optional.empty();
  }

  static Set<ServingRuntime> all() {
    return EnumSet.allOf(ServingRuntime.class);
  }

  /// The labels joined by commas, or `any` for all of them.
  static String labels(Set<ServingRuntime> runtimes) {
    return runtimes.size() == values().length
        ? "any"
        : runtimes.stream().sorted().map(ServingRuntime::label).collect(Collectors.joining(", "));
  }
}
