package smelt.converter.cli;

import java.util.ArrayList;
import java.util.List;
import smelt.converter.deploy.Serving;
import smelt.converter.plan.Job;
import smelt.converter.plan.Plan;
import smelt.converter.plan.Unit;
import smelt.converter.recipe.TargetSpec;
import smelt.converter.target.Target;
import smelt.formats.checkpoint.TensorRole;

/// What a runtime must be told at launch because of what the recipe keeps.
final class LaunchNotes {

  private LaunchNotes() {}

  static List<String> of(Plan plan) {
    List<String> notes = new ArrayList<>();
    for (int t = 0; t < plan.targets().size(); t++) {
      TargetSpec spec = plan.targets().get(t).spec();
      Serving.kTransformers(spec)
          .ifPresent(
              runtime -> notes.add("note     " + spec.name() + ": launch with " + runtime.flags()));
      Target target = plan.targets().get(t).spec().target();
      if (isServedBySglang(target) && sharedDiffersFromRouted(plan, t)) {
        notes.add(
            "note     "
                + target.label()
                + ": shared and routed experts differ; launch SGLang with"
                + " --disable-shared-experts-fusion");
      }
    }
    return notes;
  }

  private static boolean isServedBySglang(Target target) {
    return switch (target) {
      case FP8_BLOCK, INT8_CHANNEL, INT8_BLOCK, CT_FP8_BLOCK, CT_FP8_CHANNEL, ASCEND_W8A8 -> true;
      case BF16, CT_INT8, CT_W4A16, RAWINT4, KT_AMX_INT8, KT_AMX_INT4, KT_AOCL_INT8, GGUF -> false;
    };
  }

  private static boolean sharedDiffersFromRouted(Plan plan, int target) {
    boolean sharedKept = false;
    boolean routedQuantized = false;
    for (Unit unit : plan.units()) {
      for (Job job : unit.jobs()) {
        boolean plain = job.isPlain(target);
        sharedKept |= plain && job.weight().role() instanceof TensorRole.SharedExpert;
        routedQuantized |= !plain && job.weight().role() instanceof TensorRole.RoutedExpert;
      }
    }
    return sharedKept && routedQuantized;
  }
}
