package smelt.verify;

/// What a model lies on disk as, and so which rules look at it, with the facts that only it has.
sealed interface FolderKind {

  /// Safetensors with a config.
  record Checkpoint() implements FolderKind {}

  /// Routed experts alone, packed for KTransformers.
  record Experts(KtFacts facts) implements FolderKind {}

  /// Files for llama.cpp.
  record Gguf(GgufFacts facts) implements FolderKind {}
}
