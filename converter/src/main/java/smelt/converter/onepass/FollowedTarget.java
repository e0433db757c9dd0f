package smelt.converter.onepass;

import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import smelt.calibrate.model.Activations;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.model.Routing;
import smelt.calibrate.model.TokenBatch;
import smelt.converter.result.ResultModel;
import smelt.converter.run.UnfinishedTarget;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.verify.ServedActivations;
import smelt.verify.inference.Comparison;
import smelt.verify.inference.Verification;
import smelt.verify.inference.VerifyPlan;
import smelt.verify.quality.Looks;
import smelt.verify.quality.QualityReport;
import smelt.verify.tensors.PiecemealComparison;

/// A target that is verified while it is written: its weights as they come, and its path through
/// the layers behind the source's.
final class FollowedTarget implements AutoCloseable {

  /// What is known of a target before anything is written.
  ///
  /// @param name of the target
  /// @param written what is written so far
  /// @param made how it is read; closed with this
  /// @param lossless whether every weight is copied as it is
  /// @param request the text, and what is to hold
  /// @param about what the report says of the run
  record Setting(
      String name,
      UnfinishedTarget written,
      ResultModel made,
      boolean lossless,
      Verification.Request request,
      Verification.About about)
      implements AutoCloseable {

    Verification.Model model() {
      return made.model();
    }

    VerifyPlan plan(Checkpoint source, Verification.Tools tools) {
      List<Integer> lengths = request.sequences().stream().map(ids -> ids.length).toList();
      return VerifyPlan.of(
          new VerifyPlan.Work(
              source,
              model().checkpoint(),
              lengths,
              tools.compute(),
              0,
              Looks.atTheEnd(lengths.size()),
              model().smoothed()),
          OptionalLong.empty());
    }

    @Override
    public void close() throws IOException {
      made.close();
    }
  }

  private final Setting setting;
  private final Verification verification;
  private final Activations activations;
  private final PiecemealComparison weights;
  private final ReferenceModel model;
  private final Comparison comparison;
  private final Comparison.Following following;

  /// @param source the source's model, which others run
  /// @param from where the source lies
  /// @param batch the source's hidden states of the texts
  FollowedTarget(
      Setting setting,
      ReferenceModel source,
      Verification.Model from,
      TokenBatch batch,
      Verification.Tools tools,
      Verification.Watcher watcher)
      throws IOException {
    this.setting = setting;
    Verification.Model to = setting.model();
    Verification.Request request = setting.request();
    VerifyPlan plan = setting.plan(from.checkpoint(), tools);
    verification = new Verification(from, to, request, plan, tools, watcher);
    activations = activations(setting);
    weights =
        new PiecemealComparison(
            to.madeFrom(from), tools.codec(), plan.threads(), Math.max(plan.tensorBytes(), 1));
    model =
        ReferenceModel.open(to.checkpoint(), to.source(), tools.compute(), plan.resultScratch());
    comparison =
        new Comparison(
            source,
            model,
            new Comparison.Settings(activations, request.eos(), plan.headRows(), plan.threads()),
            watcher);
    following = comparison.follow(batch, request.sequences());
  }

  private static Activations activations(Setting setting) throws IOException {
    Verification.Model model = setting.model();
    if (setting.lossless() || !setting.request().rounded()) {
      return Activations.NONE;
    }
    return model.rounding().isPresent()
        ? model.rounding().get()
        : ServedActivations.later(model.source(), model.checkpoint());
  }

  String name() {
    return setting.name();
  }

  /// Compares weights that were written.
  void written(List<Weight> written) throws IOException {
    weights.compare(written.stream().map(Weight::name).toList());
  }

  void embed() throws IOException {
    following.embed();
  }

  void beforeLayer() {
    following.beforeLayer();
  }

  /// @param chosen the experts that the source chose for the texts
  void layer(int layer, Optional<Routing> chosen) throws IOException {
    following.layer(layer, chosen);
  }

  void head() throws IOException {
    following.head();
  }

  /// The verdict, once everything is written.
  QualityReport report() throws IOException {
    return verification.conclude(setting.about(), weights.result(), comparison, activations);
  }

  @Override
  public void close() throws IOException {
    try (setting;
        model) {
      following.close();
    }
  }
}
