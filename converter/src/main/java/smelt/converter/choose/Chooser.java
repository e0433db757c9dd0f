package smelt.converter.choose;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Consumer;
import smelt.calibrate.allocate.Allocation;
import smelt.calibrate.allocate.Choice;
import smelt.calibrate.allocate.Item;
import smelt.calibrate.allocate.NeverWorse;
import smelt.calibrate.outlier.Outliers;
import smelt.calibrate.sensitivity.ModelPart;
import smelt.calibrate.sensitivity.Scheme;
import smelt.calibrate.sensitivity.Sensitivity;
import smelt.converter.ByteSize;
import smelt.converter.RefusedException;
import smelt.converter.plan.Plan;
import smelt.converter.plan.Planner;
import smelt.converter.recipe.Recipe;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.source.ModelSource;

/// Chooses a scheme for each part of a recipe's target: measures what each part loses in each,
/// allocates, and measures the result beside the uniform scheme that fits as well, which is kept if
/// it loses less.
public final class Chooser {

  /// Plans with one tensor more or less in a scheme differ by alignment and listings.
  private static final int REPLANS = 6;

  private final ModelSource source;
  private final Checkpoint checkpoint;
  private final Recipe recipe;
  private final TargetSchemes target;
  private final List<ModelPart> parts;

  /// @param recipe with one target
  public Chooser(
      ModelSource source, Checkpoint checkpoint, Recipe recipe, TargetSchemes target, int layers) {
    this.source = source;
    this.checkpoint = checkpoint;
    this.recipe = recipe;
    this.target = target;
    parts = ModelPart.of(checkpoint, layers).stream().filter(target::isChosen).toList();
  }

  /// What was wanted.
  ///
  /// @param bytes of all output at most; empty where `kl` is given
  /// @param kl predicted mean divergence at most
  public record Wanted(OptionalLong bytes, OptionalDouble kl) {}

  /// Schemes of all parts, and what they come to.
  ///
  /// @param bytes of all output, as planned
  /// @param predicted sum of what the parts lose alone
  /// @param measured mean divergence of the whole on text that nothing was chosen from
  public record Candidate(
      String name, Map<ModelPart, Scheme> schemes, long bytes, double predicted, double measured) {}

  /// @param verdict empty where no uniform scheme fits
  public record Result(
      List<Item> items,
      Allocation allocation,
      Candidate allocated,
      Optional<Candidate> uniform,
      Optional<NeverWorse> verdict) {

    /// What is kept.
    public Candidate chosen() {
      return verdict.map(NeverWorse::allocated).orElse(true) ? allocated : uniform.orElseThrow();
    }
  }

  public List<ModelPart> parts() {
    return parts;
  }

  public List<Scheme> schemes() {
    return target.schemes();
  }

  /// The recipe with other schemes.
  public Recipe recipe(String name, Map<ModelPart, Scheme> schemes) {
    return new Recipe(
        name,
        recipe.description(),
        List.of(target.with(schemes)),
        recipe.mtp(),
        recipe.copyCode(),
        recipe.shardSize());
  }

  /// @param calibration measures on the text that schemes are chosen from
  /// @param heldOut measures on other text
  /// @param outliers their parts get the scheme that takes most bytes
  public Result choose(
      Wanted wanted,
      Sensitivity calibration,
      Sensitivity heldOut,
      Outliers outliers,
      Consumer<Integer> progress)
      throws IOException {
    List<Item> items = pinned(calibration.measure(parts, target.schemes(), progress), outliers);
    Allocation allocation = allocate(items, wanted);
    Candidate allocated = candidate("allocated", map(allocation), items, heldOut);
    Optional<Candidate> uniform = uniform(items, allocated.bytes(), wanted, heldOut);
    Optional<NeverWorse> verdict =
        uniform.map(other ->
            NeverWorse.choose(allocated.predicted(), allocated.measured(), other.measured()));
    return new Result(items, allocation, allocated, uniform, verdict);
  }

  private List<Item> pinned(List<Item> items, Outliers outliers) {
    Set<String> flagged = outliers.names(checkpoint.weights());
    List<Item> all = new ArrayList<>();
    for (int i = 0; i < parts.size(); i++) {
      Item item = items.get(i);
      boolean protect =
          parts.get(i).weights().stream().anyMatch(weight -> flagged.contains(weight.name()));
      all.add(protect ? item.pinnedTo(largest(item)) : item);
    }
    return all;
  }

  private static String largest(Item item) {
    return item.choices().stream()
        .max(java.util.Comparator.comparingLong(Choice::bytes))
        .orElseThrow()
        .scheme();
  }

  private Allocation allocate(List<Item> items, Wanted wanted) throws IOException {
    Allocation.Range range = Allocation.range(items);
    if (wanted.bytes().isEmpty()) {
      double kl = wanted.kl().orElseThrow();
      if (kl < range.leastError()) {
        throw new RefusedException(
            "--max-kl " + kl,
            "parts that lose at least " + range.leastError() + " with the schemes of the target",
            "at most " + kl,
            "allow more, or give schemes of more bits");
      }
      return Allocation.underError(items, kl);
    }
    long budget = wanted.bytes().getAsLong();
    Map<ModelPart, Scheme> smallest = map(Allocation.underBudget(items, range.leastBytes()));
    long fixed = plan(smallest).outputBytes() - range.leastBytes();
    long room = budget - fixed;
    for (int i = 0; i < REPLANS && room >= range.leastBytes(); i++) {
      Allocation allocation = Allocation.underBudget(items, room);
      long over = plan(map(allocation)).outputBytes() - budget;
      if (over <= 0) {
        return allocation;
      }
      room -= over;
    }
    throw new RefusedException(
        "--budget " + budget,
        "at least " + ByteSize.format(fixed + range.leastBytes()) + " with the smallest schemes",
        "at most " + ByteSize.format(budget),
        "give at least " + (fixed + range.leastBytes()) + ", or schemes of fewer bits");
  }

  private Plan plan(Map<ModelPart, Scheme> schemes) throws IOException {
    return Planner.plan(source, checkpoint, recipe(recipe.name(), schemes));
  }

  private Map<ModelPart, Scheme> map(Allocation allocation) {
    Map<ModelPart, Scheme> map = new LinkedHashMap<>();
    for (ModelPart part : parts) {
      String name = allocation.schemes().get(part.name()).scheme();
      map.put(part, scheme(name));
    }
    return map;
  }

  private Scheme scheme(String name) {
    return target.schemes().stream()
        .filter(scheme -> scheme.name().equals(name))
        .findFirst()
        .orElseThrow();
  }

  private Candidate candidate(
      String name, Map<ModelPart, Scheme> schemes, List<Item> items, Sensitivity heldOut)
      throws IOException {
    return new Candidate(
        name,
        schemes,
        plan(schemes).outputBytes(),
        predicted(schemes, items),
        heldOut.measure(schemes));
  }

  private double predicted(Map<ModelPart, Scheme> schemes, List<Item> items) {
    double sum = 0;
    for (Item item : items) {
      for (Map.Entry<ModelPart, Scheme> entry : schemes.entrySet()) {
        if (entry.getKey().name().equals(item.name())) {
          sum += item.choice(entry.getValue().name()).error();
        }
      }
    }
    return sum;
  }

  /// Of the recipe as it stands and of each scheme for all parts, what fits and is predicted to
  /// lose least.
  private Optional<Candidate> uniform(
      List<Item> items, long allocatedBytes, Wanted wanted, Sensitivity heldOut)
      throws IOException {
    Map<String, Map<ModelPart, Scheme>> all = new LinkedHashMap<>();
    Map<ModelPart, Scheme> own = new LinkedHashMap<>();
    parts.forEach(part -> own.put(part, target.own(part)));
    all.put("recipe as it is", own);
    for (Scheme scheme : target.schemes()) {
      Map<ModelPart, Scheme> uniform = new LinkedHashMap<>();
      parts.forEach(part -> uniform.put(part, scheme));
      all.put("uniform " + scheme.name(), uniform);
    }
    String best = "";
    double least = Double.POSITIVE_INFINITY;
    for (Map.Entry<String, Map<ModelPart, Scheme>> entry : all.entrySet()) {
      double predicted = predicted(entry.getValue(), items);
      if (predicted < least
          && plan(entry.getValue()).outputBytes() <= wanted.bytes().orElse(allocatedBytes)) {
        best = entry.getKey();
        least = predicted;
      }
    }
    return best.isEmpty()
        ? Optional.empty()
        : Optional.of(candidate(best, all.get(best), items, heldOut));
  }
}
