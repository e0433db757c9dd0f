package smelt.calibrate.pass;

import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.TreeMap;
import smelt.calibrate.math.AttentionShape;
import smelt.calibrate.math.Compute;
import smelt.calibrate.model.Attention;
import smelt.calibrate.model.FeedForward;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.observe.LayerObserver;
import smelt.calibrate.observe.LayerSizes;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;

/// How much a calibration takes, known before a weight is read. Whatever the number of tokens, each
/// weight is read once: with less memory fewer tokens go through a part of a layer at a time.
///
/// | part | bytes of anonymous memory |
/// |---|---|
/// | program | the Java machine with the code in use, and what the caller needs |
/// | names | the checkpoint's weights on the heap |
/// | text | token ids, and the routing of one layer |
/// | statistics | sums of the largest layer, and its tables when they are written |
/// | hessians | those that are summed at the same time, with blocks of tokens |
/// | scratch | weights of the largest part of a layer, tokens in work, operations on matrices |
/// | reserve | 6 % of all that, for what the Java machine and the C library take at their own time |
///
/// @param tokens of all sequences
/// @param atOnce tokens that go through a part at a time, at least
/// @param scratch bytes of scratch memory of the reference model
/// @param parts bytes of each part, by its name in the table
/// @param weightBytes what is read of the model at most
/// @param workBytes files in the output folder while it is made: hidden states
/// @param tableBytes the finished table at most
public record CalibratePlan(
    int threads,
    long tokens,
    long atOnce,
    long scratch,
    SortedMap<String, Long> parts,
    long weightBytes,
    long workBytes,
    long tableBytes) {

  /// What the Java machine takes with a small checkpoint open, started with
  /// `converter/src/main/jvm/work.args`, when it runs a model.
  static final long PROGRAM_BYTES = 126L << 20;

  /// What a weight takes on the heap; half as much again as is live.
  static final long BYTES_PER_WEIGHT = 2_000;

  /// What a token takes on the heap besides its routing: ids and their order.
  static final long BYTES_PER_TOKEN = 120;

  private static final long RESERVE_PERCENT = 6;
  private static final long MOST_AT_ONCE = 4096;

  /// What is known of the work before it starts.
  ///
  /// @param longest tokens of the longest sequence
  /// @param compute what the model will be run with
  /// @param extra bytes that the caller's own parts take, such as a tokenizer
  public record Work(
      Checkpoint checkpoint,
      long tokens,
      int longest,
      LayerObserver.Options options,
      Compute compute,
      long extra) {}

  /// The plan that works on the most tokens at once and fits; the smallest there is if none does.
  ///
  /// @param budget bytes that the run may take; empty for no limit
  public static CalibratePlan of(Work work, OptionalLong budget) {
    long atOnce = Math.min(work.tokens(), MOST_AT_ONCE);
    CalibratePlan plan = of(work, atOnce);
    while (budget.isPresent() && plan.peak() > budget.getAsLong() && atOnce > 1) {
      atOnce = atOnce * 3 / 4;
      plan = of(work, Math.max(1, atOnce));
    }
    return plan;
  }

  private static CalibratePlan of(Work work, long atOnce) {
    Checkpoint checkpoint = work.checkpoint();
    ModelSpec spec = ModelSpec.of(checkpoint);
    long scratch = ReferenceModel.onceScratch(checkpoint, atOnce, work.longest());
    LayerSizes sizes = new LayerSizes(spec, work.options().of(work.tokens()));
    SortedMap<String, Long> parts = new TreeMap<>();
    parts.put("program", PROGRAM_BYTES + work.extra());
    parts.put("names", BYTES_PER_WEIGHT * checkpoint.weights().size());
    parts.put(
        "text",
        BYTES_PER_TOKEN * work.tokens() + 3 * ReferenceModel.routingBytes(spec, work.tokens()) / 2);
    parts.put("statistics", sizes.heapBytes());
    parts.put("hessians", sizes.hessianBytes());
    parts.put("scratch", scratch + computeBytes(work, spec, Math.max(atOnce, work.longest())));
    parts.put("reserve", sum(parts) / 100 * RESERVE_PERCENT);
    return new CalibratePlan(
        work.compute().threads(),
        work.tokens(),
        atOnce,
        scratch,
        parts,
        checkpoint.weights().stream().mapToLong(Weight::bytes).reduce(0, Math::addExact),
        Spill.bytes(work.tokens(), spec.hidden()),
        sizes.tableBytes());
  }

  /// Bytes that operations on matrices keep.
  private static long computeBytes(Work work, ModelSpec spec, long tokens) {
    long widest = spec.hidden();
    for (FeedForward layer : spec.layers()) {
      widest =
          Math.max(
              widest,
              switch (layer) {
                case FeedForward.Dense dense -> dense.width();
                case FeedForward.Experts experts ->
                    Math.max(experts.width(), experts.sharedWidth());
              });
    }
    AttentionShape shape =
        switch (spec.attention()) {
          case Attention.Mla mla ->
              new AttentionShape(
                  mla.heads(), mla.heads(), mla.querySize(), mla.valueSize(), (float) mla.scale());
          case Attention.Grouped g ->
              new AttentionShape(
                  g.heads(), g.keyValueHeads(), g.headSize(), g.headSize(), (float) g.scale());
        };
    widest = Math.max(widest, (long) shape.heads() * shape.vDim());
    long shared =
        Math.max(work.compute().productBytes(tokens, widest), work.compute().attentionBytes(shape));
    return shared + work.compute().arrayBytes();
  }

  private static long sum(SortedMap<String, Long> parts) {
    return parts.values().stream().mapToLong(Long::longValue).reduce(0, Math::addExact);
  }

  /// Bytes of anonymous memory at most.
  public long peak() {
    return sum(parts);
  }

  /// Bytes on the disk at most, while it runs.
  public long diskBytes() {
    return Math.addExact(workBytes, tableBytes);
  }
}
