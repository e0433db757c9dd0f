package smelt.verify.inference;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.ModelConfig;
import smelt.verify.quality.ModelChanges;

/// Tells what a target changes in a model on purpose from what a faulty conversion does.
///
/// | change | is |
/// |---|---|
/// | `quantization_config`, `compression_config` | expected |
/// | `torch_dtype`, `dtype`, `transformers_version`, and other keys that no forward pass reads | expected |
/// | no layers of multi-token prediction, by weights and `num_nextn_predict_layers` alike | expected |
/// | `auto_map` taken out | expected; without it the code is not run |
/// | what the reader of a form that is no checkpoint has found | a fault |
/// | any other key of `config.json`: known to matter or not known at all | a fault |
/// | a tokenizer file or `generation_config.json` that differs, is lost or added | a fault |
/// | any other weight that only one of both has | a fault |
final class Differences {

  private static final String MTP_LAYERS = "num_nextn_predict_layers";
  private static final String CODE = "auto_map";

  private static final Set<String> QUANTIZATION =
      Set.of("quantization_config", "compression_config");

  /// Keys that say how a model was made, stored or trained.
  private static final Set<String> WITHOUT_EFFECT =
      Set.of(
          "_commit_hash",
          "_name_or_path",
          "attention_dropout",
          "aux_loss_alpha",
          "dtype",
          "ep_size",
          "initializer_range",
          "output_router_logits",
          "pretraining_tp",
          "router_aux_loss_coef",
          "seq_aux",
          "torch_dtype",
          "transformers_version",
          "use_cache");

  private final Verification.Model source;
  private final Verification.Model result;
  private final List<String> config = new ArrayList<>();
  private final List<String> expected = new ArrayList<>();

  private Differences(Verification.Model source, Verification.Model result) {
    this.source = source;
    this.result = result;
  }

  /// @param missing names of the source's weights that the result lacks
  /// @param added names of the result's weights that the source lacks
  static ModelChanges of(
      Verification.Model source,
      Verification.Model result,
      List<String> missing,
      List<String> added)
      throws IOException {
    Differences found = new Differences(source, result);
    boolean mtpDropped = found.mtpDropped();
    List<String> lost = missing;
    if (mtpDropped) {
      Predicate<String> mtp = found::isMtp;
      lost = missing.stream().filter(mtp.negate()).toList();
      found.expected.add(
          "The layers of multi-token prediction were left out, "
              + (missing.size() - lost.size())
              + " weights, and "
              + MTP_LAYERS
              + " says so.");
    }
    ConfigChanges.of(source.checkpoint().config().tree(), result.checkpoint().config().tree())
        .forEach((key, change) -> found.key(key, change, mtpDropped));
    found.config.addAll(result.changes());
    boolean code = result.checkpoint().config().tree().hasNonNull(CODE);
    return new ModelChanges(
        found.config, FileChanges.of(source, result, code), lost, added, found.expected);
  }

  private boolean mtpDropped() {
    return source.checkpoint().config().mtpLayers() > 0
        && result.checkpoint().config().mtpLayers() == 0;
  }

  private boolean isMtp(String name) {
    Checkpoint model = source.checkpoint();
    int layers = model.config().numHiddenLayers();
    return model.weight(name).stream()
        .anyMatch(weight -> weight.role().layer().orElse(0) >= layers);
  }

  private void key(String path, String change, boolean mtpDropped) {
    String key = path.contains(".") ? path.substring(0, path.indexOf('.')) : path;
    String words = ModelConfig.FILE + " " + path + ": " + change;
    if (QUANTIZATION.contains(key) || (key.equals(MTP_LAYERS) && mtpDropped)) {
      return;
    }
    boolean codeLeftOut = key.equals(CODE) && !result.checkpoint().config().tree().hasNonNull(CODE);
    if (WITHOUT_EFFECT.contains(key) || codeLeftOut) {
      expected.add(words + (codeLeftOut ? ", since its code is not carried." : "."));
    } else {
      config.add(words);
    }
  }
}
