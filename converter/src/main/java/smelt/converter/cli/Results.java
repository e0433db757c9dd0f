package smelt.converter.cli;

import java.io.IOException;
import java.util.Optional;
import smelt.calibrate.model.ActivationScheme;
import smelt.calibrate.model.Activations;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.experts.ExpertFormat;
import smelt.formats.experts.PackedExperts;
import smelt.formats.source.ModelSource;
import smelt.verify.inference.Verification;
import smelt.verify.quality.Profile;

/// The result that a verification reads: a checkpoint, or experts in the order of a CPU's kernels
/// beside the model they were packed from.
///
/// @param usual the profile where the user names none; empty: what the weights say
record Results(Verification.Model model, Optional<Profile> usual, String line) {

  /// @param source the model to compare with, of which packed experts take everything else
  static Results open(ModelSource made, Verification.Model source) throws IOException {
    if (!PackedExperts.isIn(made)) {
      return new Results(new Verification.Model(made, Checkpoint.open(made)), Optional.empty(), "");
    }
    PackedExperts experts = PackedExperts.open(made, source.source(), source.checkpoint());
    Verification.Model model =
        new Verification.Model(
            experts,
            experts.checkpoint(),
            Optional.of(rounding(experts.checkpoint())),
            experts::storedBytes);
    String line =
        "routed experts from "
            + made.location()
            + " ("
            + experts.format()
            + ", "
            + experts.nodes()
            + " NUMA nodes), everything else from "
            + source.checkpoint().location();
    return new Results(
        model,
        experts.format() == ExpertFormat.AMXINT4
            ? Optional.of(Profile.INT4_EXPERTS)
            : Optional.of(Profile.W8A8),
        line);
  }

  /// The kernels round the inputs of experts to INT8, one scale a token; the rest is served as the
  /// source is.
  private static Activations rounding(Checkpoint checkpoint) {
    int hiddenLayers = checkpoint.config().numHiddenLayers();
    return weight ->
        isPacked(weight, hiddenLayers)
            ? new ActivationScheme.PerToken(ElementType.I8)
            : new ActivationScheme.None();
  }

  private static boolean isPacked(Weight weight, int hiddenLayers) {
    return weight.role() instanceof TensorRole.RoutedExpert expert
        && expert.layerIndex() < hiddenLayers;
  }
}
