package smelt.converter.gguf;

/// How `kv_b_proj`, from which keys and values of latent attention come, lies in GGUF. It is the
/// same model in either form; which one an engine reads depends on its age.
public enum LatentForm {
  /// `attn_k_b` (each head transposed) and `attn_v_b`, with the metadata of attention on the
  /// latent: llama.cpp since April 2025.
  SPLIT,
  /// One `attn_kv_b`, with the metadata of attention on whole heads: older engines read only this,
  /// newer ones too, but cache whole keys and values.
  FUSED
}
