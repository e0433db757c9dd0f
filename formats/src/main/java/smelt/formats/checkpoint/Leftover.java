package smelt.formats.checkpoint;

/// A stored tensor that is no weight and no decode scale, and whose loss changes nothing.
public record Leftover(SourceTensor tensor, Reason reason) {

  public enum Reason {
    /// `rotary_emb.inv_freq`: computed from the config by every runtime.
    ROTARY_FREQUENCIES("rotary frequencies, computed from config.json by every runtime"),
    /// `input_scale` and the like, beside a quantized weight: how a runtime rounds the weight's
    /// input.
    STATIC_INPUT(
        "static scale of a linear's input, no part of the weight; only this encoding's"
            + " runtime uses it"),
    /// `weight_offset` of Ascend's W8A8_DYNAMIC: zero by that format's definition.
    ZERO_OFFSET("offset of a symmetric encoding, zero by its definition"),
    /// `weight_shape` of compressed-tensors' packed weights: what the config implies too.
    PACKED_SHAPE("shape of a packed weight, implied by config.json and written where it is packed");

    private final String words;

    Reason(String words) {
      this.words = words;
    }

    /// The reason as a phrase for reports.
    public String words() {
      return words;
    }
  }
}
