package smelt.converter.onepass;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.TreeMap;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.pass.CalibratePlan;
import smelt.calibrate.smooth.Pair;
import smelt.converter.ByteSize;
import smelt.converter.RefusedException;
import smelt.converter.run.MemoryPlan;
import smelt.formats.checkpoint.Checkpoint;
import smelt.verify.inference.VerifyPlan;

/// How much anonymous memory one pass takes at most, known before it starts.
///
/// | part | what it is |
/// |---|---|
/// | `conversion` | what a conversion takes by itself, tuning included |
/// | `model` | code and heap for running models and judging them |
/// | `held` | the largest part of the source, which may be all experts of a layer, and the largest rest of one, which may be all but them |
/// | `scratch` | of the source's model, which holds a part too, and of operations on matrices |
/// | `hidden` | hidden states of all tokens, twice |
/// | `text` | token ids, and which experts a layer chose for them |
/// | `observed` | what is seen in a layer, second moments where they are needed |
/// | `verification` | of all targets that are verified, as if each was alone |
/// | `device` | what the host needs for a GPU, its driver and what is on its way |
///
/// @param parts bytes by their names
/// @param scratch bytes of the source's model
/// @param atOnce tokens that go through a part at a time, at least
/// @param holding what of the source is in memory together
public record PassMemory(
    SortedMap<String, Long> parts, long scratch, long atOnce, HeldParts.Holding holding) {

  /// Code for running models and for text, beside what a conversion has.
  private static final long MODEL_BYTES = 64L << 20;

  private static final long RESERVE_PERCENT = 6;

  /// What is known of the work before it starts.
  ///
  /// @param conversion what the conversion takes by itself
  /// @param source the source, its texts, and how it is observed
  /// @param holding what of the source is in memory together
  /// @param verified targets that are verified
  public record Work(
      MemoryPlan conversion,
      CalibratePlan.Work source,
      HeldParts.Holding holding,
      List<Verified> verified) {

    public Work {
      verified = List.copyOf(verified);
    }

    /// Every model that is run, the source first.
    public List<Checkpoint> models() {
      List<Checkpoint> models = new ArrayList<>(List.of(source.checkpoint()));
      verified.forEach(target -> models.add(target.checkpoint()));
      return models;
    }
  }

  /// A target that is verified.
  public record Verified(Checkpoint checkpoint, VerifyPlan plan) {}

  /// The plan with the most tokens in work at a time that fits; the smallest if none does.
  ///
  /// @param device bytes that the host needs for a GPU; 0 without one
  /// @param budget bytes that the run may take; empty for no limit
  public static PassMemory of(Work work, long device, OptionalLong budget) {
    SortedMap<String, Long> parts = new TreeMap<>();
    Checkpoint checkpoint = work.source().checkpoint();
    long hidden = ModelSpec.of(checkpoint).hidden();
    parts.put("conversion", work.conversion().peak());
    parts.put("model", MODEL_BYTES);
    parts.put("held", HeldParts.bytes(checkpoint, work.holding()));
    parts.put("hidden", 2 * Matrix.bytes(work.source().tokens(), hidden));
    parts.put(
        "verification",
        work.verified().stream()
            .mapToLong(target -> bytes(target.plan()))
            .reduce(0, Math::addExact));
    if (device > 0) {
      parts.put("device", device);
    }
    long fixed = sum(parts) / 100 * (100 + RESERVE_PERCENT);
    CalibratePlan source =
        CalibratePlan.of(
            work.source(),
            budget.isPresent()
                ? OptionalLong.of(Math.max(0, budget.getAsLong() - fixed))
                : OptionalLong.empty());
    parts.put("scratch", source.parts().get("scratch"));
    parts.put("text", source.parts().get("text"));
    parts.put("observed", source.parts().get("statistics") + source.parts().get("hessians"));
    parts.put("reserve", sum(parts) / 100 * RESERVE_PERCENT);
    return new PassMemory(parts, source.scratch(), source.atOnce(), work.holding());
  }

  /// A verification's memory without the program, which is counted once.
  private static long bytes(VerifyPlan plan) {
    return plan.peak() - plan.parts().get("program");
  }

  private static long sum(SortedMap<String, Long> parts) {
    return parts.values().stream().mapToLong(Long::longValue).reduce(0, Math::addExact);
  }

  /// Bytes at most.
  public long peak() {
    return sum(parts);
  }

  /// @throws RefusedException if it is more than the run may take
  public void requireWithin(OptionalLong budget) {
    if (budget.isEmpty() || peak() <= budget.getAsLong()) {
      return;
    }
    List<String> named =
        parts.entrySet().stream()
            .map(part -> part.getKey() + " " + ByteSize.format(part.getValue()))
            .toList();
    throw new RefusedException(
        "--memory " + ByteSize.format(budget.getAsLong()),
        "one pass that takes up to "
            + ByteSize.format(peak())
            + " ("
            + String.join(", ", named)
            + ")",
        "at most " + ByteSize.format(budget.getAsLong()),
        "give at least that, take fewer tokens (--tokens, --eval-tokens), "
            + remedy()
            + "or work in steps: smelt calibrate, smelt convert --calibration, smelt verify");
  }

  private String remedy() {
    String experts =
        holding.experts()
            ? "leave "
                + Pair.Kind.FEED_FORWARD_NORM.label()
                + " out of smooth, for which all experts of a layer are held, "
            : "";
    String others =
        holding.others()
            ? "leave --verify out for targets of packed experts, for which the rest of a layer is"
                + " held, "
            : "";
    return experts + others;
  }
}
