package smelt.calibrate.model;

import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;

/// Scratch memory of the reference model, in bytes: a buffer for tiles of weights, and what the
/// tokens take that are worked on together.
///
/// @param leastBuffer with less, some row of a weight does not fit
/// @param attentionPerToken for each token of the sequences that attend together
/// @param feedForwardPerToken for each token that goes through a feed-forward half at once
/// @param fixed whatever the number of tokens, but for the rope's tables
record ScratchNeeds(
    ModelSpec spec,
    long leastBuffer,
    long attentionPerToken,
    long feedForwardPerToken,
    long fixed) {

  /// Tiles larger than this gain nothing.
  private static final long LARGEST_BUFFER = 16L << 20;

  /// One part in so many of the scratch memory is the buffer, within its limits.
  private static final long BUFFER_SHARE = 8;

  /// Tokens that attend together when memory is not to be spent for more.
  private static final long TOGETHER = 2048;

  /// Matrices that are taken at once, each of which may lose so much to alignment.
  private static final long SLACK = 32 * Scratch.ALIGNMENT;

  static ScratchNeeds of(ModelSpec spec, Checkpoint checkpoint) {
    long buffer = 0;
    long vectors = 0;
    long tallest = 0;
    for (Weight weight : checkpoint.weights()) {
      buffer = Math.max(buffer, WeightStream.leastBuffer(weight));
      if (weight.scale().isPresent()) {
        tallest = Math.max(tallest, WeightStream.rows(weight));
      }
      if (weight.shape().rank() == 1) {
        vectors = Math.max(vectors, WeightStream.cols(weight));
      }
    }
    long fixed = 8 * Scratch.bytesOf(1, vectors) + IntegerOutput.scratchBytes(tallest);
    return new ScratchNeeds(
        spec,
        Scratch.aligned(buffer),
        floats(attentionFloats(spec)),
        floats(spec.layers().stream().mapToLong(l -> feedForwardFloats(l, spec)).max().orElse(0)),
        fixed + SLACK);
  }

  private static long floats(long count) {
    return Math.multiplyExact(count, Float.BYTES);
  }

  private static long attentionFloats(ModelSpec spec) {
    return switch (spec.attention()) {
      case Attention.Mla mla -> {
        long heads = mla.heads();
        long queries = heads * mla.querySize();
        long values = heads * mla.valueSize();
        int rank = mla.queryRank().orElse(0);
        long widest = Math.max(Math.max(spec.hidden(), values), rank);
        long both = heads * ((long) mla.plainSize() + mla.valueSize());
        long latent = (long) mla.latentRank() + mla.rotatedSize();
        yield spec.hidden() + 2 * queries + values + both + latent + rank + widest;
      }
      case Attention.Grouped grouped -> {
        long queries = (long) grouped.heads() * grouped.headSize();
        long keys = (long) grouped.keyValueHeads() * grouped.headSize();
        yield spec.hidden() + 2 * queries + 2 * keys + Math.max(spec.hidden(), queries);
      }
    };
  }

  private static long feedForwardFloats(FeedForward layer, ModelSpec spec) {
    return switch (layer) {
      case FeedForward.Dense dense ->
          spec.hidden() + 2L * dense.width() + Math.max(spec.hidden(), dense.width());
      case FeedForward.Experts experts ->
          ExpertPass.floatsPerToken(experts, spec.hidden())
              + Math.max(spec.hidden(), Math.max(experts.width(), experts.sharedWidth()));
    };
  }

  /// What a run needs whose longest sequence has so many tokens.
  long least(int longest) {
    return withBuffer(Math.max(attention(longest, longest), feedForward(1)));
  }

  /// What a run needs to read every weight once for a batch of so many tokens.
  long full(long tokens, int longest) {
    return withBuffer(Math.max(attention(tokens, longest), feedForward(tokens)));
  }

  /// Scratch memory of which so much is left beside the buffer of weights.
  private long withBuffer(long need) {
    long share = Scratch.aligned(Math.ceilDiv(need, BUFFER_SHARE - 1)) + Scratch.ALIGNMENT;
    return Math.addExact(need, Math.max(leastBuffer, Math.min(LARGEST_BUFFER, share)));
  }

  /// What a run needs to read the weights of every feed-forward half once for a batch of so many
  /// tokens; those of attention, a small share of a model with experts, are read once for every few
  /// thousand tokens.
  long thrifty(long tokens, int longest) {
    long together = Math.min(tokens, Math.max(longest, TOGETHER));
    return LARGEST_BUFFER + Math.max(attention(together, longest), feedForward(tokens));
  }

  /// What a run needs that holds every part of a layer while tokens go through it, so many at once.
  ///
  /// @param held bytes of the largest part
  long once(long held, long tokensAtOnce, int longest) {
    long together = Math.max(tokensAtOnce, longest);
    return withBuffer(
        Math.addExact(held, Math.max(attention(together, longest), feedForward(tokensAtOnce))));
  }

  /// Of so much scratch memory, how much is the buffer of weights.
  long buffer(long scratchBytes) {
    long wanted = Math.min(LARGEST_BUFFER, Scratch.aligned(scratchBytes / BUFFER_SHARE));
    return Math.max(leastBuffer, wanted);
  }

  long attention(long tokens, int longest) {
    return Math.multiplyExact(attentionPerToken, tokens)
        + RopeTables.bytes(spec.rope(), longest)
        + fixed;
  }

  long feedForward(long tokens) {
    return Math.multiplyExact(feedForwardPerToken, tokens) + fixed;
  }
}
