package smelt.calibrate.model;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.UnaryOperator;
import smelt.calibrate.math.RopeLayout;
import smelt.formats.checkpoint.Projection;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;

/// A mistake in a forward pass or in reading weights, planted on purpose.
///
/// @param name as the golden data calls it
/// @param edit changes a copy of the sample model
record Fault(String name, String sample, UnaryOperator<ModelSpec> change, Edit edit) {

  /// Changes the files of a model.
  @FunctionalInterface
  interface Edit {
    void apply(EditableModel model) throws IOException;
  }

  private static final String BF16 = "tiny-deepseek-v3";
  private static final String FP8 = "tiny-deepseek-v3-fp8";
  private static final Edit NOTHING = _ -> {};

  static List<Fault> all() {
    return List.of(
        new Fault("e_score_correction_bias ignored", BF16, UnaryOperator.identity(), Fault::noBias),
        rule("no group limit (topk_group=n_group)", r -> rule(r, r.groups(), true, r.factor())),
        rule("norm_topk_prob ignored", r -> rule(r, r.keptGroups(), false, r.factor())),
        rule("routed_scaling_factor 1.0", r -> rule(r, r.keptGroups(), true, 1)),
        spec("no rope scaling at all", s -> scale(unscaled(s), plainScale(s))),
        spec("yarn frequencies but no mscale^2 in the softmax scale", s -> scale(s, plainScale(s))),
        spec("mscale^2 but plain rope frequencies", Fault::unscaled),
        spec("rope halves instead of interleaved pairs (q and k)", Fault::halves),
        spec("rms_norm eps 1e-5", s -> with(s, 1e-5, s.attention(), s.rope(), s.layers())),
        spec("shared expert left out", Fault::withoutShared),
        new Fault(
            "experts 2 and 10 exchanged (lexicographic order bug)",
            BF16,
            UnaryOperator.identity(),
            Fault::exchangeExperts),
        new Fault(
            "gate/up exchanged in expert 3 of every layer",
            BF16,
            UnaryOperator.identity(),
            Fault::exchangeGateAndUp),
        new Fault("(FP8 variant, correct)", FP8, UnaryOperator.identity(), NOTHING),
        new Fault(
            "FP8: scale grid read column-major",
            FP8,
            UnaryOperator.identity(),
            model -> model.eachScaleGrid(EditableModel::readColumnMajor)),
        new Fault(
            "FP8: first scale used for the whole tensor",
            FP8,
            UnaryOperator.identity(),
            model -> model.eachScaleGrid(EditableModel::repeatFirst)));
  }

  /// The sample with the fault in its files, if that is where it is.
  Path plant(Path samples, Path folder) throws IOException {
    Path sample = samples.resolve(this.sample);
    if (edit.equals(NOTHING)) {
      return sample;
    }
    edit.apply(EditableModel.copy(sample, folder));
    return folder;
  }

  @Override
  public String toString() {
    return name;
  }

  private static Fault spec(String name, UnaryOperator<ModelSpec> change) {
    return new Fault(name, BF16, change, NOTHING);
  }

  private static Fault rule(String name, UnaryOperator<RoutingRule.BiasedSigmoid> change) {
    return spec(
        name,
        s ->
            layers(
                s,
                e ->
                    new FeedForward.Experts(
                        change.apply((RoutingRule.BiasedSigmoid) e.rule()),
                        e.width(),
                        e.sharedWidth())));
  }

  private static RoutingRule.BiasedSigmoid rule(
      RoutingRule.BiasedSigmoid r, int keptGroups, boolean renormalised, double factor) {
    return new RoutingRule.BiasedSigmoid(
        r.experts(), r.chosen(), r.groups(), keptGroups, renormalised, factor);
  }

  private static ModelSpec withoutShared(ModelSpec spec) {
    return layers(spec, e -> new FeedForward.Experts(e.rule(), e.width(), 0));
  }

  private static ModelSpec layers(ModelSpec spec, UnaryOperator<FeedForward.Experts> change) {
    List<FeedForward> layers =
        spec.layers().stream()
            .map(l -> l instanceof FeedForward.Experts e ? change.apply(e) : l)
            .toList();
    return with(spec, spec.eps(), spec.attention(), spec.rope(), layers);
  }

  private static ModelSpec unscaled(ModelSpec s) {
    Rope.Scaling none = new Rope.Scaling.None();
    Rope rope = new Rope(s.rope().size(), s.rope().theta(), s.rope().layout(), none);
    return with(s, s.eps(), s.attention(), rope, s.layers());
  }

  private static ModelSpec halves(ModelSpec s) {
    Rope rope = new Rope(s.rope().size(), s.rope().theta(), RopeLayout.HALVES, s.rope().scaling());
    return with(s, s.eps(), s.attention(), rope, s.layers());
  }

  private static double plainScale(ModelSpec s) {
    return 1 / Math.sqrt(((Attention.Mla) s.attention()).querySize());
  }

  private static ModelSpec scale(ModelSpec s, double scale) {
    Attention.Mla a = (Attention.Mla) s.attention();
    Attention changed =
        new Attention.Mla(
            a.heads(),
            a.queryRank(),
            a.latentRank(),
            a.plainSize(),
            a.rotatedSize(),
            a.valueSize(),
            scale);
    return with(s, s.eps(), changed, s.rope(), s.layers());
  }

  private static ModelSpec with(
      ModelSpec s, double eps, Attention attention, Rope rope, List<FeedForward> layers) {
    return new ModelSpec(
        s.hidden(),
        s.vocabulary(),
        eps,
        s.tiedHead(),
        attention,
        rope,
        layers,
        OptionalInt.empty());
  }

  private static void noBias(EditableModel model) throws IOException {
    for (Weight weight : model.weights()) {
      if (weight.role() instanceof TensorRole.RouterBias) {
        model.write(weight.codes(), new byte[(int) weight.codes().bytes()]);
      }
    }
  }

  private static void exchangeExperts(EditableModel model) throws IOException {
    for (int layer = 1; layer <= 3; layer++) {
      for (Projection p : Projection.values()) {
        model.exchange(
            new TensorRole.RoutedExpert(layer, 2, p), new TensorRole.RoutedExpert(layer, 10, p));
      }
    }
  }

  private static void exchangeGateAndUp(EditableModel model) throws IOException {
    for (int layer = 1; layer <= 3; layer++) {
      model.exchange(
          new TensorRole.RoutedExpert(layer, 3, Projection.GATE),
          new TensorRole.RoutedExpert(layer, 3, Projection.UP));
    }
  }
}
