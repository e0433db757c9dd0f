package smelt.calibrate.model;

import java.util.OptionalInt;

/// How a model attends. Which of its linears have a bias is seen from the checkpoint.
public sealed interface Attention {

  int heads();

  /// What the products of query and key are multiplied by before the softmax.
  double scale();

  /// Multi-head latent attention of DeepSeek: keys and values come from one latent vector per
  /// token, and one rotated part of the key serves all heads.
  ///
  /// @param queryRank `q_lora_rank`; empty where the query has one plain projection
  /// @param latentRank `kv_lora_rank`
  /// @param plainSize numbers of a head's query and key that are not rotated, `qk_nope_head_dim`
  /// @param rotatedSize numbers that are, `qk_rope_head_dim`
  /// @param valueSize `v_head_dim`
  record Mla(
      int heads,
      OptionalInt queryRank,
      int latentRank,
      int plainSize,
      int rotatedSize,
      int valueSize,
      double scale)
      implements Attention {

    /// Numbers of a head's query and of its key.
    public int querySize() {
      return plainSize + rotatedSize;
    }
  }

  /// Grouped-query attention: each head of keys and values serves `heads / keyValueHeads` heads of
  /// queries.
  ///
  /// @param headNorms whether every head of queries and keys is normed before it is rotated
  record Grouped(int heads, int keyValueHeads, int headSize, boolean headNorms, double scale)
      implements Attention {
    public Grouped {
      if (keyValueHeads < 1 || heads % keyValueHeads != 0) {
        throw new IllegalArgumentException(heads + " heads, " + keyValueHeads + " of keys");
      }
    }
  }
}
