package smelt.verify.inference;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import smelt.calibrate.math.AttentionShape;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.Attention;
import smelt.calibrate.model.ModelSpec;
import smelt.calibrate.model.ReferenceModel;
import smelt.calibrate.smooth.Pair;
import smelt.formats.checkpoint.Checkpoint;
import smelt.verify.quality.Looks;
import smelt.verify.tensors.TensorComparison;

/// How much anonymous memory a verification takes at most, known before a weight is read, and into
/// how many rounds it cuts the text to stay within a budget. It does not depend on the size of the
/// models, except for the names of their tensors.
///
/// | part | bytes |
/// |---|---|
/// | program | the Java machine with the code in use |
/// | names | both checkpoints' weights on the heap, with the scores of the tensor check, and the pairs of a smoothed result |
/// | scores | the scored tokens of all rounds on the heap |
/// | limits | sums of each layer for each sequence of all rounds on the heap, 96 bytes |
/// | hidden | of a round: hidden states of both paths, `4 * hidden * 4 S` |
/// | logits | of a round: `4 * 3 S` for each row of the vocabulary at once |
/// | sums | of a round: sums over the vocabulary, routings, lists of tokens |
/// | scratch | of both reference models, and of the operations on matrices |
/// | tensors | buffers of the tensor check and the factors of smoothed pairs, which comes first; the C library may keep what it gets back |
/// | reserve | 6 % of all that, for what the Java machine and the C library take at their own time |
///
/// @param sequencesOfRound sequences that go through the models together, but for the last round
/// @param looks when the text may be judged; a round ends with each
/// @param rounds how often the models are read for inference; 0 where none is made
/// @param headRows rows of the vocabulary whose logits are in memory at once
/// @param sourceScratch bytes of scratch memory of the source's reference model
/// @param resultScratch the same of the result's
/// @param tensorBytes buffers of the tensor check
/// @param parts bytes of each part, by its name in the table
public record VerifyPlan(
    int threads,
    int sequencesOfRound,
    Looks looks,
    int rounds,
    int headRows,
    long sourceScratch,
    long resultScratch,
    long tensorBytes,
    SortedMap<String, Long> parts) {

  /// What the Java machine takes with two small checkpoints open, started with
  /// `converter/src/main/jvm/work.args`, when it runs models: measured between 55 and 90 MiB,
  /// beside other parts that are not all in use at once.
  static final long PROGRAM_BYTES = 104L << 20;

  /// The same when it only compares weights: measured between 75 and 85 MiB.
  static final long SMALL_PROGRAM_BYTES = 92L << 20;

  /// What a weight takes on the heap: the checkpoint's entry, and in the result its score; half as
  /// much again as is live.
  static final long BYTES_PER_WEIGHT = 2_400;

  /// What a weight of a smoothed result takes on the heap beside that: the pairs that it is of, and
  /// what of it their factors go to. An estimate from the sizes of the objects.
  static final long BYTES_PER_SMOOTHED_WEIGHT = 600;

  /// What a scored token takes on the heap: its columns in the round and in all rounds, copies that
  /// statistics make.
  static final long BYTES_PER_SCORE = 400;

  /// What a token of a round takes on the heap besides its routings: ids, sums, lists.
  static final long BYTES_PER_TOKEN = 2 * VocabularySums.BYTES_PER_TOKEN + 160;

  private static final long RESERVE_PERCENT = 6;
  private static final long LOGITS_BYTES = 16L << 20;
  private static final int LEAST_HEAD_ROWS = VocabularySums.RUN;
  private static final int MOST_HEAD_ROWS = 8192;

  /// What is known of the work before it starts.
  ///
  /// @param lengths ids of each sequence, in order; empty for the tensor check alone
  /// @param compute what both models will be run with
  /// @param extra bytes that the caller's own parts take, such as a tokenizer
  /// @param looks when the text may be judged
  /// @param smoothed pairs between whose weights factors have passed
  public record Work(
      Checkpoint source,
      Checkpoint result,
      List<Integer> lengths,
      Compute compute,
      long extra,
      Looks looks,
      Set<Pair.Kind> smoothed) {

    public Work {
      lengths = List.copyOf(lengths);
      smoothed = Set.copyOf(smoothed);
    }

    /// Of a result that is not smoothed.
    public Work(
        Checkpoint source,
        Checkpoint result,
        List<Integer> lengths,
        Compute compute,
        long extra,
        Looks looks) {
      this(source, result, lengths, compute, extra, looks, Set.of());
    }

    /// Judged once, at the end.
    public Work(
        Checkpoint source, Checkpoint result, List<Integer> lengths, Compute compute, long extra) {
      this(source, result, lengths, compute, extra, Looks.atTheEnd(lengths.size()));
    }

    private int longest() {
      return lengths.stream().mapToInt(Integer::intValue).max().orElse(0);
    }

    private long tokens() {
      return lengths.stream().mapToLong(Integer::intValue).sum();
    }

    /// Tokens of the largest round of so many sequences.
    private long tokensOfRound(int sequences) {
      long most = 0;
      int first = 0;
      for (int end : ends(lengths.size(), sequences, looks)) {
        most =
            Math.max(most, lengths.subList(first, end).stream().mapToLong(Integer::intValue).sum());
        first = end;
      }
      return most;
    }
  }

  /// After which sequences rounds end.
  private static List<Integer> ends(int sequences, int most, Looks looks) {
    List<Integer> ends = new ArrayList<>();
    int end = 0;
    for (int look : looks.ends()) {
      while (end < look) {
        end = Math.min(look, end + most);
        ends.add(end);
      }
    }
    if (end != sequences) {
      throw new IllegalArgumentException("looks " + looks.ends() + " at " + sequences);
    }
    return ends;
  }

  /// How generous a round is with scratch memory.
  private enum Scratch {
    THRIFTY,
    LEAST
  }

  /// The plan with the fewest rounds that fits.
  ///
  /// @param budget bytes that the run may take; empty for no limit
  public static VerifyPlan of(Work work, OptionalLong budget) {
    if (work.lengths().isEmpty()) {
      return weightsOnly(work);
    }
    int all = work.lengths().size();
    for (int rounds = 1; rounds < all; rounds = Math.max(rounds + 1, rounds * 9 / 8)) {
      VerifyPlan plan = inference(work, Math.ceilDiv(all, rounds), Scratch.THRIFTY);
      if (budget.isEmpty() || plan.peak() <= budget.getAsLong()) {
        return plan;
      }
    }
    VerifyPlan single = inference(work, 1, Scratch.THRIFTY);
    return budget.isEmpty() || single.peak() <= budget.getAsLong()
        ? single
        : inference(work, 1, Scratch.LEAST);
  }

  private static VerifyPlan weightsOnly(Work work) {
    long tensorBytes = tensorBytes(work);
    SortedMap<String, Long> parts = fixed(work, SMALL_PROGRAM_BYTES);
    parts.put("tensors", tensorBytes);
    parts.put("reserve", reserve(parts));
    return new VerifyPlan(
        work.compute().threads(), 0, work.looks(), 0, 0, 0, 0, tensorBytes, parts);
  }

  private static VerifyPlan inference(Work work, int sequences, Scratch thrift) {
    long tokens = work.tokensOfRound(sequences);
    long paths = Math.multiplyExact(Round.PATHS, tokens);
    ModelSpec spec = ModelSpec.of(work.source());
    int headRows = headRows(tokens);
    long sourceScratch = scratch(work.source(), tokens, work.longest(), thrift);
    long resultScratch = scratch(work.result(), paths, work.longest(), thrift);
    long computeBytes = computeBytes(work, spec, paths);
    long tensorBytes = tensorBytes(work);
    SortedMap<String, Long> parts = fixed(work, PROGRAM_BYTES);
    parts.put("scores", BYTES_PER_SCORE * work.tokens());
    parts.put(
        "limits",
        LayerSums.BYTES_PER_SEQUENCE
            * Math.multiplyExact((long) spec.layerCount(), work.lengths().size()));
    parts.put("hidden", Round.bytes(tokens, spec.hidden()));
    parts.put("logits", Head.bytes(tokens, headRows));
    parts.put("scratch", sourceScratch + resultScratch + computeBytes);
    parts.put(
        "sums",
        BYTES_PER_TOKEN * (tokens + paths)
            + 3 * ReferenceModel.routingBytes(spec, tokens + paths) / 2);
    parts.put("tensors", tensorBytes);
    parts.put("reserve", reserve(parts));
    return new VerifyPlan(
        work.compute().threads(),
        sequences,
        work.looks(),
        ends(work.lengths().size(), sequences, work.looks()).size(),
        headRows,
        sourceScratch,
        resultScratch,
        tensorBytes,
        parts);
  }

  private static SortedMap<String, Long> fixed(Work work, long program) {
    SortedMap<String, Long> parts = new TreeMap<>();
    long weights = (long) work.source().weights().size() + work.result().weights().size();
    parts.put("program", program + work.extra());
    long pairs =
        work.smoothed().isEmpty()
            ? 0
            : BYTES_PER_SMOOTHED_WEIGHT * (long) work.source().weights().size();
    parts.put("names", BYTES_PER_WEIGHT * weights + pairs);
    return parts;
  }

  private static long reserve(SortedMap<String, Long> parts) {
    long sum = parts.values().stream().mapToLong(Long::longValue).reduce(0, Math::addExact);
    return sum / 100 * RESERVE_PERCENT;
  }

  private static long tensorBytes(Work work) {
    return TensorComparison.memoryBytes(
        work.source(), work.result(), work.smoothed(), work.compute().threads());
  }

  /// Bytes that operations on matrices keep.
  private static long computeBytes(Work work, ModelSpec spec, long tokens) {
    long widest =
        Stream.concat(work.source().weights().stream(), work.result().weights().stream())
            .filter(weight -> weight.shape().rank() == 2)
            .mapToLong(weight -> weight.shape().dim(1))
            .max()
            .orElse(1);
    AttentionShape shape =
        switch (spec.attention()) {
          case Attention.Mla mla ->
              new AttentionShape(
                  mla.heads(), mla.heads(), mla.querySize(), mla.valueSize(), (float) mla.scale());
          case Attention.Grouped g ->
              new AttentionShape(
                  g.heads(), g.keyValueHeads(), g.headSize(), g.headSize(), (float) g.scale());
        };
    long shared =
        Math.max(
            work.compute().roundingBytes(widest),
            Math.max(
                work.compute().productBytes(tokens, widest), work.compute().attentionBytes(shape)));
    return shared + work.compute().arrayBytes();
  }

  private static long scratch(Checkpoint model, long tokens, int longest, Scratch thrift) {
    return switch (thrift) {
      case THRIFTY -> ReferenceModel.thriftyScratch(model, tokens, longest);
      case LEAST -> ReferenceModel.leastScratch(model, longest);
    };
  }

  /// A multiple of the runs that are summed by themselves, so that figures do not depend on memory.
  private static int headRows(long tokens) {
    long rows = LOGITS_BYTES / Matrix.bytes(3, tokens) / LEAST_HEAD_ROWS * LEAST_HEAD_ROWS;
    return Math.clamp(rows, LEAST_HEAD_ROWS, MOST_HEAD_ROWS);
  }

  /// Bytes at most.
  public long peak() {
    return parts.values().stream().mapToLong(Long::longValue).reduce(0, Math::addExact);
  }

  /// The sequences of each round, in order.
  public List<List<int[]>> rounds(List<int[]> sequences) {
    List<List<int[]>> cut = new ArrayList<>();
    int first = 0;
    for (int end : ends(sequences.size(), sequencesOfRound, looks)) {
      cut.add(sequences.subList(first, end));
      first = end;
    }
    return cut;
  }
}
