package smelt.converter.plan;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import smelt.converter.deploy.Deployment;
import smelt.converter.deploy.Half;
import smelt.converter.deploy.Serving;
import smelt.converter.target.Target;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.ModelConfig;
import smelt.formats.checkpoint.TensorRole;
import smelt.formats.checkpoint.Weight;

/// Adds the `deploy/` folder to targets whose experts are served from the CPU. The other half is
/// the recipe's first checkpoint, or the source where there is none. Experts that are only laid out
/// anew come without: their source does not show the other half.
final class Deployments {

  /// Bytes of a number in the key-value cache.
  private static final long CACHE_NUMBER = 2;

  private final Checkpoint checkpoint;
  private final List<Unit> units;
  private final List<TargetPlan> targets;

  private Deployments(Checkpoint checkpoint, List<Unit> units, List<TargetPlan> targets) {
    this.checkpoint = checkpoint;
    this.units = units;
    this.targets = targets;
  }

  static List<TargetPlan> added(Checkpoint checkpoint, List<Unit> units, List<TargetPlan> targets) {
    Deployments deployments = new Deployments(checkpoint, units, targets);
    List<TargetPlan> all = new ArrayList<>();
    for (int t = 0; t < targets.size(); t++) {
      all.add(deployments.added(t));
    }
    return all;
  }

  private TargetPlan added(int target) {
    TargetPlan plan = targets.get(target);
    if (plan.shards().isEmpty() || plan.spec().exact()) {
      return plan;
    }
    Optional<Serving> serving = Serving.of(plan.spec(), plan.shards().getFirst().name());
    if (serving.isEmpty() || checkpoint.config().routedExperts().isEmpty()) {
      return plan;
    }
    ModelConfig config = checkpoint.config();
    Deployment deployment =
        new Deployment(
            checkpoint.architecture().className(),
            serving.get(),
            half(target, ".."),
            gpu(target, serving.get()),
            config.numHiddenLayers(),
            cacheBytes(config));
    List<TargetPlan.SmallFile> files = new ArrayList<>(plan.smallFiles());
    deployment
        .files()
        .forEach((name, bytes) -> files.add(new TargetPlan.SmallFile(name, bytes, "")));
    return plan.withSmallFiles(files);
  }

  /// Where the GPU's half is: in the same folder, beside it, or with the user.
  private Half gpu(int target, Serving serving) {
    boolean whole =
        switch (serving) {
          case Serving.KTransformers runtime -> runtime.shared();
          case Serving.LlamaCpp _ -> true;
        };
    if (whole) {
      return half(target, "..");
    }
    for (int t = 0; t < targets.size(); t++) {
      if (targets.get(t).spec().target().kind() == Target.Kind.CHECKPOINT) {
        return half(t, "../../" + targets.get(t).folder());
      }
    }
    List<Half.Stored> stored = new ArrayList<>();
    for (Weight weight : checkpoint.weights()) {
      stored.add(new Half.Stored(weight.name(), Optional.of(weight.role()), weight.bytes()));
    }
    return new Half("", stored);
  }

  private Half half(int target, String path) {
    Map<String, TensorRole> roles = new HashMap<>();
    for (Unit unit : units) {
      for (Job job : unit.jobs()) {
        job.output(target)
            .ifPresent(output ->
                output.tensors().forEach(tensor -> roles.put(tensor, job.weight().role())));
      }
    }
    List<Half.Stored> stored = new ArrayList<>();
    for (TargetPlan.Shard shard : targets.get(target).shards()) {
      for (ShardLayout.Part part : shard.layout().parts()) {
        Optional<TensorRole> role = Optional.ofNullable(roles.get(part.name()));
        stored.add(new Half.Stored(part.name(), role, part.bytes()));
      }
    }
    return new Half(path, stored);
  }

  /// What a token takes: with MLA the compressed latent and the rotated part of the key, else keys
  /// and values of all heads.
  private static long cacheBytes(ModelConfig config) {
    boolean latent = config.optionalInt("kv_lora_rank", 1, 1 << 20).isPresent();
    long numbers =
        latent
            ? config.kvLoraRank() + config.requireInt("qk_rope_head_dim", 1, 1 << 20)
            : 2L * config.numKeyValueHeads() * config.headDim();
    return CACHE_NUMBER * numbers * config.numHiddenLayers();
  }
}
