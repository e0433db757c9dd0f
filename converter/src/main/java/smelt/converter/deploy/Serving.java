package smelt.converter.deploy;

import java.util.Optional;
import smelt.converter.recipe.ExpertChoices;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.target.Target;
import smelt.formats.experts.ExpertFormat;

/// The runtime that takes a target's experts on the CPU, and what it must be told.
public sealed interface Serving {

  /// KTransformers, inside its build of SGLang. Nothing in it compares method and nodes with the
  /// files: with others it reads them wrongly, without a word.
  ///
  /// @param method of `--kt-method`
  /// @param nodes of `--kt-threadpool-count`: the slices of each expert
  /// @param weights the folder of `--kt-weight-path`, within the target's folder; empty: that
  ///   folder
  /// @param shared whether the experts are those of a checkpoint that the GPU reads too
  /// @param needs what the processor must have
  record KTransformers(String method, int nodes, String weights, boolean shared, String needs)
      implements Serving {

    /// The flags that depend on the files.
    public String flags() {
      return "--kt-method "
          + method
          + " --kt-threadpool-count "
          + nodes
          + " --kt-weight-path "
          + (weights.isEmpty() ? "this folder" : weights + "/ of this folder")
          + " --disable-shared-experts-fusion";
    }
  }

  /// llama.cpp, with the experts left in the machine's memory.
  ///
  /// @param firstFile the file that is named to it
  /// @param interleaved whether rows of experts are interleaved, so that only ik_llama.cpp reads
  ///   them
  record LlamaCpp(String firstFile, boolean interleaved) implements Serving {

    static LlamaCpp of(TargetSpec spec, String firstFile) {
      boolean interleaved =
          spec.gguf().types().rules().stream().anyMatch(rule -> rule.type().interleavedRows() > 1);
      return new LlamaCpp(firstFile, interleaved);
    }

    /// The engine's name.
    String engine() {
      return interleaved ? "ik_llama.cpp" : "llama.cpp";
    }
  }

  /// Who serves a target's experts on the CPU; empty for a checkpoint that is served whole.
  ///
  /// @param firstShard name of the target's first shard
  static Optional<Serving> of(TargetSpec spec, String firstShard) {
    return switch (spec.target().kind()) {
      case CHECKPOINT ->
          spec.sharedWithCpu().isEmpty()
              ? Optional.empty()
              : Optional.of(ofCheckpoint(spec.target(), spec.sharedWithCpu().getAsInt()));
      case EXPERTS -> Optional.of(packed(spec));
      case GGUF -> Optional.of(LlamaCpp.of(spec, firstShard));
    };
  }

  /// What is known without the shards' names.
  static Optional<KTransformers> kTransformers(TargetSpec spec) {
    return of(spec, "")
        .flatMap(serving ->
            switch (serving) {
              case KTransformers runtime -> Optional.of(runtime);
              case LlamaCpp _ -> Optional.empty();
            });
  }

  /// What the hidden size, and each node's part of the experts' width, must be a multiple of for
  /// kernels that read a checkpoint's experts as they are.
  static int step(Target target) {
    return switch (target) {
      case FP8_BLOCK -> 128;
      case RAWINT4 -> 64;
      case BF16, CT_FP8_CHANNEL -> 32;
      case CT_FP8_BLOCK, INT8_CHANNEL, INT8_BLOCK, CT_INT8, ASCEND_W8A8, CT_W4A16 ->
          throw new IllegalArgumentException(target.label() + " is not read by KTransformers");
      case KT_AMX_INT8, KT_AMX_INT4, KT_AOCL_INT8, GGUF ->
          throw new IllegalArgumentException(target.label() + " is no checkpoint");
    };
  }

  private static KTransformers packed(TargetSpec spec) {
    ExpertFormat format = spec.target().expertFormat().orElseThrow();
    String weights = spec.experts().form() == ExpertChoices.Form.TREE ? "experts" : "";
    String needs =
        switch (format) {
          case AMXINT8, AMXINT4 -> "AVX-512 with VNNI; AMX tiles are used where there are any";
          case MOE_INT8 -> "an AMD processor with AVX-512 VNNI, and the build with AOCL";
        };
    return new KTransformers(format.toString(), spec.experts().numa(), weights, false, needs);
  }

  private static KTransformers ofCheckpoint(Target target, int nodes) {
    String needs = "AVX-512 with BF16 and VBMI";
    return switch (target) {
      case FP8_BLOCK -> new KTransformers("FP8", nodes, "", true, needs);
      case CT_FP8_CHANNEL -> new KTransformers("FP8_PERCHANNEL", nodes, "", true, needs);
      case BF16 -> new KTransformers("BF16", nodes, "", true, needs);
      case RAWINT4 -> new KTransformers("RAWINT4", nodes, "", true, "AVX-512 with VNNI");
      case CT_FP8_BLOCK, INT8_CHANNEL, INT8_BLOCK, CT_INT8, ASCEND_W8A8, CT_W4A16 ->
          throw new IllegalArgumentException(target.label() + " is not read by KTransformers");
      case KT_AMX_INT8, KT_AMX_INT4, KT_AOCL_INT8, GGUF ->
          throw new IllegalArgumentException(target.label() + " is no checkpoint");
    };
  }
}
