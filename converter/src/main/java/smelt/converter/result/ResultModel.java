package smelt.converter.result;

import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import smelt.calibrate.model.ActivationScheme;
import smelt.calibrate.model.Activations;
import smelt.calibrate.smooth.Pair;
import smelt.converter.gguf.GgufCheckpoint;
import smelt.formats.ElementType;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Encoding;
import smelt.formats.experts.ExpertFormat;
import smelt.formats.experts.PackedExperts;
import smelt.formats.gguf.GgufParts;
import smelt.formats.source.ModelSource;
import smelt.verify.inference.Verification;
import smelt.verify.quality.Profile;

/// What a conversion made, as a model to verify: a checkpoint, GGUF, or experts in the order of a
/// CPU's kernels beside the model that they were packed from.
///
/// @param model what is compared with the source
/// @param usual the profile where nobody names one; empty: what the weights say
/// @param line what there is to tell of it; empty for a checkpoint
/// @param opened what was opened for it beside its folder
public record ResultModel(
    Verification.Model model, Optional<Profile> usual, String line, List<ModelSource> opened)
    implements AutoCloseable {

  public ResultModel {
    opened = List.copyOf(opened);
  }

  /// Opens it. Both sources stay the caller's to close.
  ///
  /// @param made the folder
  /// @param source the model to compare with, of which packed experts take everything else
  /// @param smoothed pairs between whose weights factors have passed
  /// @throws smelt.formats.BadInputException if what was made does not fit the source
  public static ResultModel open(
      ModelSource made, Verification.Model source, Set<Pair.Kind> smoothed) throws IOException {
    if (GgufParts.isIn(made)) {
      return gguf(made, source, smoothed);
    }
    return PackedExperts.isIn(made)
        ? experts(made, source, smoothed)
        : new ResultModel(
            new Verification.Model(made, Checkpoint.open(made), smoothed),
            Optional.empty(),
            "",
            List.of());
  }

  private static ResultModel experts(
      ModelSource made, Verification.Model source, Set<Pair.Kind> smoothed) throws IOException {
    PackedExperts experts = PackedExperts.open(made, source.source(), source.checkpoint());
    Verification.Model model =
        new Verification.Model(
            experts,
            experts.checkpoint(),
            Optional.of(rounding(experts.checkpoint())),
            experts::storedBytes,
            List.of(),
            smoothed);
    String line =
        "routed experts from "
            + made.location()
            + " ("
            + experts.format()
            + ", "
            + experts.nodes()
            + " NUMA nodes), everything else from "
            + source.checkpoint().location();
    return new ResultModel(
        model,
        experts.format() == ExpertFormat.AMXINT4
            ? Optional.of(Profile.INT4_EXPERTS)
            : Optional.of(Profile.W8A8),
        line,
        List.of(experts));
  }

  /// llama.cpp rounds the inputs of quantized weights to 8 bits, in blocks of 32 or 256; what that
  /// costs is left out: the weights alone are judged.
  private static ResultModel gguf(
      ModelSource made, Verification.Model source, Set<Pair.Kind> smoothed) throws IOException {
    GgufCheckpoint gguf = GgufCheckpoint.open(made, source.source(), source.checkpoint());
    Verification.Model model =
        new Verification.Model(
            gguf,
            gguf.checkpoint(),
            Optional.of(Activations.NONE),
            gguf::storedBytes,
            gguf.changes(),
            smoothed);
    return new ResultModel(
        model,
        Optional.empty(),
        "GGUF of "
            + gguf.architecture()
            + " in "
            + gguf.types()
            + "; config and tokenizer from "
            + source.checkpoint().location(),
        List.of(gguf));
  }

  /// The kernels round the inputs of experts to INT8, one scale a token. Each NUMA node rounds its
  /// own part of what goes into the down projection. The rest is served as the source is.
  private static Activations rounding(Checkpoint checkpoint) {
    int hiddenLayers = checkpoint.config().numHiddenLayers();
    return weight ->
        isPacked(weight, hiddenLayers) ? ofPacked(weight) : new ActivationScheme.None();
  }

  private static ActivationScheme ofPacked(Weight weight) {
    return weight.encoding() instanceof Encoding.Block slices
        ? new ActivationScheme.PerGroup(ElementType.I8, slices.blockCols())
        : new ActivationScheme.PerToken(ElementType.I8);
  }

  private static boolean isPacked(Weight weight, int hiddenLayers) {
    return weight.role() instanceof TensorRole.RoutedExpert expert
        && expert.layerIndex() < hiddenLayers;
  }

  /// The folder stays open.
  @Override
  public void close() throws IOException {
    for (ModelSource source : opened) {
      source.close();
    }
  }
}
