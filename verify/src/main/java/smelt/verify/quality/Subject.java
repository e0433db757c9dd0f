package smelt.verify.quality;

import java.util.List;

/// What was compared with what, on which text, by which program.
///
/// @param source the original, as the user named it
/// @param result the converted model, as the user named it
/// @param architecture such as `DeepseekV3ForCausalLM`
/// @param scheme how the result is quantized, in words, such as `INT8 per channel, INT8 per token`
/// @param activations how the result's runtime rounds activations, in words; `none` where it does
///   not
/// @param sourceBytes bytes of the tensors of the source
/// @param resultBytes bytes of the tensors of the result
/// @param corpora each text file, with its SHA-256
/// @param sequences sequences that were scored
/// @param version Smelt's version
/// @param kernels the kernels in use, such as `vector 512 bit, 2 threads`
/// @param command what to run to get the same figures
public record Subject(
    String source,
    String result,
    String architecture,
    String scheme,
    String activations,
    long sourceBytes,
    long resultBytes,
    List<String> corpora,
    long sequences,
    String version,
    String kernels,
    String command) {

  public Subject {
    corpora = List.copyOf(corpora);
  }
}
