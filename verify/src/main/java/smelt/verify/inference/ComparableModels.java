package smelt.verify.inference;

import smelt.calibrate.model.FeedForward;
import smelt.calibrate.model.ModelSpec;
import smelt.formats.BadInputException;
import smelt.formats.checkpoint.Checkpoint;

/// Whether two models can go through text side by side.
final class ComparableModels {

  private ComparableModels() {}

  static void require(Checkpoint source, Checkpoint result) {
    ModelSpec a = ModelSpec.of(source);
    ModelSpec b = ModelSpec.of(result);
    if (a.hidden() != b.hidden()
        || a.vocabulary() != b.vocabulary()
        || a.layerCount() != b.layerCount()) {
      throw new BadInputException(
          result.location(),
          sizes(b),
          sizes(a) + ", as in " + source.location(),
          "name the model that this result was converted from");
    }
    for (int layer = 0; layer < a.layerCount(); layer++) {
      String wanted = experts(a.layers().get(layer));
      String found = experts(b.layers().get(layer));
      if (!found.equals(wanted)) {
        throw new BadInputException(
            result.location() + ", layer " + layer,
            found,
            wanted + ", as in " + source.location(),
            "repair the result's config.json, or name the model that it was converted from");
      }
    }
  }

  private static String experts(FeedForward layer) {
    return switch (layer) {
      case FeedForward.Dense _ -> "no experts";
      case FeedForward.Experts e ->
          e.rule().chosen() + " of " + e.rule().experts() + " experts for each token";
    };
  }

  private static String sizes(ModelSpec spec) {
    return "a model of "
        + spec.layerCount()
        + " layers, hidden size "
        + spec.hidden()
        + " and "
        + spec.vocabulary()
        + " token ids";
  }
}
