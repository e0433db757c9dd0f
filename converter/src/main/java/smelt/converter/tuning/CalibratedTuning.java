package smelt.converter.tuning;

import java.io.IOException;
import java.lang.foreign.SegmentAllocator;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import smelt.calibrate.math.Compute;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.observe.InputStats;
import smelt.calibrate.observe.Site;
import smelt.calibrate.smooth.Coupling;
import smelt.calibrate.smooth.FoldedRows;
import smelt.calibrate.solve.HessianFactor;
import smelt.calibrate.solve.Method;
import smelt.calibrate.solve.Moments;
import smelt.calibrate.solve.NeverWorse;
import smelt.calibrate.solve.OutputRescale;
import smelt.calibrate.solve.RowGrid;
import smelt.calibrate.solve.SolveKernels;
import smelt.converter.gguf.Slab;
import smelt.converter.plan.Job;
import smelt.converter.plan.Plan;
import smelt.converter.plan.Unit;
import smelt.converter.recipe.Calibrated;
import smelt.converter.recipe.Solver;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.codec.Kernels;
import smelt.formats.source.ModelSource;

/// The tuning of a plan by what was seen in its model.
///
/// A weight whose input was never seen is rounded by the target's own rule, as if all its columns
/// counted alike.
public final class CalibratedTuning implements Tuning {

  /// What reading a table takes: the code for it, its index, and a layer's figures.
  private static final long TABLE_BYTES = 48L << 20;

  /// What a worker takes that reads of it.
  private static final long TABLE_BYTES_OF_THREAD = 4L << 20;

  private final Plan plan;
  private final Statistics table;
  private final int layers;
  private final Shelf<Factors.Key, HessianFactor> factors;
  private final Shelf<Factors.Key, Moments> fitted;
  private final HeldOutMoments heldOut;
  private final Tools tools;
  private final List<Optional<Foldings>> foldings = new ArrayList<>();

  /// What to choose with.
  ///
  /// @param compute used by one thread at a time; stays the caller's to close
  public record Tools(Kernels codec, SolveKernels solve, Compute compute) {
    private NeverWorse guard(RowGrid grid, Moments moments, int cols, SegmentAllocator memory) {
      return new NeverWorse(codec, solve, grid, moments, cols, memory);
    }
  }

  /// @param source stays open until this is closed
  /// @param table what was seen in this model
  public CalibratedTuning(
      Plan plan, Checkpoint checkpoint, ModelSource source, Statistics table, Tools tools) {
    this.plan = plan;
    this.table = table;
    this.tools = tools;
    layers = ModelSpec.of(checkpoint).layerCount();
    int threads = tools.compute().threads();
    factors = Factors.of(table, tools.compute(), tools.solve(), kept(plan, threads));
    fitted = Factors.moments(table, tools.compute(), tools.solve(), kept(plan, threads));
    heldOut = new HeldOutMoments(table, threads + 1);
    Map<String, Job> jobs = new HashMap<>();
    for (Unit unit : plan.units()) {
      unit.jobs().forEach(job -> jobs.put(job.weight().name(), job));
    }
    for (int target = 0; target < plan.targets().size(); target++) {
      foldings.add(foldings(target, jobs, checkpoint, source, tools));
    }
  }

  /// Bytes at most that the tuning of a plan takes, beside what the workers have.
  ///
  /// @param checkpoint the plan's source
  public static long bytes(Plan plan, Checkpoint checkpoint, int threads) {
    long bytes = 0;
    for (int t = 0; t < plan.targets().size(); t++) {
      Calibrated calibrated = plan.targets().get(t).spec().calibrated();
      if (!calibrated.isNothing()) {
        bytes = Math.max(bytes, TABLE_BYTES + threads * TABLE_BYTES_OF_THREAD);
      }
      if (!calibrated.smooth().isEmpty()) {
        bytes = Math.addExact(bytes, Foldings.bytes(checkpoint, calibrated.smooth(), threads));
      }
    }
    long columns = columns(plan, Solver::needsHessian);
    if (columns == 0) {
      return bytes;
    }
    long moments =
        Factors.bytes(columns, kept(plan, threads)) + HeldOutMoments.bytes(columns, threads + 1);
    long fitted = columns(plan, Solver::rescales);
    if (fitted > 0) {
      moments = Math.addExact(moments, Factors.momentsBytes(fitted, kept(plan, threads)));
    }
    return Math.addExact(bytes, moments);
  }

  /// Columns of the widest weight with such a solver, 0 if there is none.
  private static long columns(Plan plan, Predicate<Solver> wanted) {
    long columns = 0;
    for (Unit unit : plan.units()) {
      for (Job job : unit.jobs()) {
        for (Job.Output output : job.outputs()) {
          Calibrated calibrated = plan.targets().get(output.target()).spec().calibrated();
          if (job.isRounded(output.target()) && wanted.test(calibrated.solver(job.weight()))) {
            columns = Math.max(columns, job.weight().shape().dim(1));
          }
        }
      }
    }
    return columns;
  }

  /// Factors that are kept for so many threads: each may have one of each kind in turn.
  static int kept(Plan plan, int threads) {
    long kinds =
        plan.targets().stream()
            .map(target -> target.spec().calibrated().strongest())
            .filter(Solver::needsHessian)
            .distinct()
            .count();
    return Math.toIntExact(threads * Math.max(1, kinds) + 1);
  }

  private Optional<Foldings> foldings(
      int target, Map<String, Job> jobs, Checkpoint checkpoint, ModelSource source, Tools tools) {
    Calibrated calibrated = calibrated(target);
    if (calibrated.smooth().isEmpty()) {
      return Optional.empty();
    }
    List<Coupling> pairs =
        Foldings.within(
            checkpoint,
            calibrated.smooth(),
            weight ->
                Optional.ofNullable(jobs.get(weight.name()))
                    .flatMap(job -> job.output(target))
                    .isPresent());
    return Optional.of(
        new Foldings(
            source,
            table,
            tools.codec(),
            tools.compute().threads(),
            pairs,
            weight -> jobs.get(weight.name()).isRounded(target)));
  }

  private Calibrated calibrated(int target) {
    return plan.targets().get(target).spec().calibrated();
  }

  @Override
  public Optional<FoldedRows> folded(int target, Weight weight) throws IOException {
    Optional<Foldings> own = foldings.get(target);
    return own.isPresent() ? own.get().rows(weight) : Optional.empty();
  }

  @Override
  public Optional<Held> method(int target, Weight weight) throws IOException {
    Solver solver = calibrated(target).solver(weight);
    Optional<Site> site = Site.of(weight.role(), layers);
    if (site.isEmpty()) {
      return Optional.empty();
    }
    return switch (solver) {
      case ROUNDING -> Optional.empty();
      case WEIGHTED -> weighted(site.get());
      case GPTQ_POOL, GPTQ_POOL_RESCALE ->
          gptq(new Factors.Key(pool(site.get()), false), site.get(), solver.rescales());
      case GPTQ, GPTQ_RESCALE -> {
        Factors.Key key = new Factors.Key(site.get(), site.get() instanceof Site.ExpertInput);
        yield gptq(key, site.get(), solver.rescales());
      }
    };
  }

  private Optional<Held> gptq(Factors.Key key, Site site, boolean rescale) throws IOException {
    WithFactor held = new WithFactor(tools);
    boolean complete = false;
    try {
      held.factor = factors.take(key);
      if (held.factor.isPresent()) {
        held.fitted = rescale ? fitted.take(key) : Optional.empty();
        held.judging = heldOut.ofAllPairs(site);
        complete = true;
        return Optional.of(held);
      }
    } finally {
      if (!complete) {
        held.close();
      }
    }
    return weighted(site);
  }

  private Optional<Held> weighted(Site site) throws IOException {
    Optional<float[]> importance = table.importance(site);
    return importance.isPresent()
        ? Optional.of(
            new Kept(tools, new Method.Weighted(importance.get()), heldOut.ofChannels(site)))
        : Optional.empty();
  }

  private static Site pool(Site site) {
    return site instanceof Site.ExpertInput input ? new Site.FeedForwardInput(input.layer()) : site;
  }

  /// Of turned rows nothing is known.
  @Override
  public Optional<float[]> importance(int target, Weight weight, Job.Piece piece)
      throws IOException {
    Optional<Site> site = Site.of(weight.role(), layers);
    boolean turned = piece.order() == Slab.Order.TRANSPOSED;
    return calibrated(target).importance() && site.isPresent() && !turned
        ? table.importance(site.get())
        : Optional.empty();
  }

  /// `scale = (max - min) / 255`, `offset = round(-128 - min / scale)`, half to even; the numbers
  /// seen always reach from at most 0 to at least 0.
  @Override
  public StaticInput staticInput(Weight weight) throws IOException {
    Optional<InputStats> seen = table.stats(Site.of(weight.role(), layers).orElseThrow());
    if (seen.isEmpty() || seen.get().max() == seen.get().min()) {
      return new StaticInput(1, 0);
    }
    float scale = (float) (((double) seen.get().max() - seen.get().min()) / 255);
    double offset = Math.rint(-128 - seen.get().min() / (double) scale);
    return new StaticInput(scale, (int) Math.clamp(offset, -128, 127));
  }

  @Override
  public void close() {
    factors.close();
    fitted.close();
    heldOut.close();
  }

  /// A method that holds nothing.
  private record Kept(Tools tools, Method method, Optional<Moments> judging) implements Held {
    @Override
    public Optional<OutputRescale> rescale(RowGrid grid, int cols, SegmentAllocator memory) {
      return Optional.empty();
    }

    @Override
    public Optional<NeverWorse> guard(RowGrid grid, int cols, SegmentAllocator memory) {
      return judging.map(moments -> tools.guard(grid, moments, cols, memory));
    }

    @Override
    public void close() {}
  }

  /// GPTQ, with the matrices that it uses; any that is there is given back at the end.
  private static final class WithFactor implements Held {
    private final Tools tools;
    private Optional<Shelf<Factors.Key, HessianFactor>.Use> factor = Optional.empty();
    private Optional<Shelf<Factors.Key, Moments>.Use> fitted = Optional.empty();
    private Optional<HeldOutMoments.Held> judging = Optional.empty();

    WithFactor(Tools tools) {
      this.tools = tools;
    }

    @Override
    public Method method() {
      return new Method.Gptq(factor.orElseThrow().value());
    }

    @Override
    public Optional<OutputRescale> rescale(RowGrid grid, int cols, SegmentAllocator memory) {
      return fitted.map(use -> new OutputRescale(tools.solve(), grid, use.value(), cols, memory));
    }

    @Override
    public Optional<NeverWorse> guard(RowGrid grid, int cols, SegmentAllocator memory) {
      return judging.map(held -> tools.guard(grid, held.moments(), cols, memory));
    }

    @Override
    public void close() {
      judging.ifPresent(HeldOutMoments.Held::close);
      fitted.ifPresent(Shelf.Use::close);
      factor.ifPresent(Shelf.Use::close);
    }
  }
}
