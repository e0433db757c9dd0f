package smelt.calibrate.model;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import smelt.calibrate.math.Matrix;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;

/// Reads one sequence piece by piece, and keeps of every token what later ones attend to: for
/// multi-head latent attention the compressed form, for grouped queries keys and values. What it
/// gives for a token is what [ReferenceModel] gives for it in the whole sequence, up to rounding.
///
/// One thread at a time may use a decoder and its model.
public final class Decoder implements AutoCloseable {

  /// Matrices that are taken at once, each of which may lose so much to alignment.
  private static final long SLACK = 32 * Scratch.ALIGNMENT;

  private final ReferenceModel model;
  private final Parts parts;
  private final CachedAttention attention;
  private final CachedAttention.Needs needs;
  private final int capacity;
  private final Arena arena = Arena.ofShared();
  private final List<Matrix> cache = new ArrayList<>();
  private final RopeTables rope;
  private int length;

  private Decoder(ReferenceModel model, int capacity) {
    this.model = model;
    this.capacity = capacity;
    parts = model.parts();
    attention = attention(parts);
    needs = CachedAttention.Needs.of(parts.spec());
    ModelSpec spec = parts.spec();
    for (int layer = 0; layer < spec.layerCount(); layer++) {
      cache.add(Matrix.zeros(arena, capacity, needs.width()));
    }
    long tables = RopeTables.bytes(spec.rope(), capacity);
    rope =
        RopeTables.of(
            spec.rope(), capacity, new Scratch(arena.allocate(tables, Scratch.ALIGNMENT)));
  }

  private static CachedAttention attention(Parts parts) {
    return switch (parts.spec().attention()) {
      case Attention.Mla mla -> new CachedMla(mla, parts);
      case Attention.Grouped grouped -> new CachedGrouped(grouped, parts);
    };
  }

  /// Scratch memory for a model that reads up to so many tokens at once, with which each weight is
  /// read once for them.
  public static long scratchBytes(Checkpoint checkpoint, int tokens) {
    ModelSpec spec = ModelSpec.of(checkpoint);
    ScratchNeeds needs = ScratchNeeds.of(spec, checkpoint);
    CachedAttention.Needs cached = CachedAttention.Needs.of(spec);
    long attention =
        Math.addExact(
            Math.addExact(needs.buffer(Long.MAX_VALUE), Matrix.bytes(tokens, cached.perToken())),
            needs.fixed() + Matrix.bytes(1, cached.fixed()) + SLACK);
    return Math.max(ReferenceModel.fullScratch(checkpoint, tokens, tokens), attention);
  }

  /// Bytes of the cache and of what belongs to it, for sequences of up to so many tokens.
  public static long cacheBytes(ModelSpec spec, int capacity) {
    long width = CachedAttention.Needs.of(spec).width();
    return Math.addExact(
        Math.multiplyExact(Matrix.bytes(capacity, width), (long) spec.layerCount()),
        RopeTables.bytes(spec.rope(), capacity));
  }

  /// Begins an empty sequence.
  ///
  /// @param model stays open until this decoder is closed; its scratch memory should be
  ///   [#scratchBytes] for the tokens that are read at once, and must be that of one
  /// @param capacity most tokens of the sequence
  public static Decoder open(ReferenceModel model, int capacity) {
    ModelSpec spec = model.spec();
    if (capacity < 1 || capacity > spec.contextLimit().orElse(Integer.MAX_VALUE)) {
      throw new UnsupportedException(
          "a sequence of " + capacity + " tokens",
          "up to " + spec.contextLimit().orElse(Integer.MAX_VALUE) + " are");
    }
    return new Decoder(model, capacity);
  }

  /// Tokens read so far.
  public int length() {
    return length;
  }

  /// Reads the next tokens.
  ///
  /// @param ids at least one, in all at most `capacity`
  /// @param logits `[count, vocabulary]`, filled for the last `count` of them
  /// @throws smelt.formats.BadInputException if an id is not in the vocabulary
  public void append(int[] ids, Matrix logits) throws IOException {
    if (ids.length == 0 || ids.length > capacity - length || logits.rows() > ids.length) {
      throw new IllegalArgumentException(
          ids.length + " tokens behind " + length + " of " + capacity);
    }
    try (Arena memory = Arena.ofShared()) {
      TokenBatch batch = TokenBatch.of(memory, List.of(ids), parts.spec().hidden());
      model.embedTokens(batch);
      for (int layer = 0; layer < parts.spec().layerCount(); layer++) {
        attend(layer, batch);
        model.feedForward(layer, batch, LayerOptions.PLAIN);
      }
      length += ids.length;
      model.norm(batch);
      Matrix last = batch.hidden().rows(ids.length - logits.rows(), logits.rows());
      model.logits(last, 0, parts.spec().vocabulary(), LayerOptions.PLAIN, logits);
    }
  }

  private void attend(int layer, TokenBatch batch) throws IOException {
    Scratch scratch = parts.scratch();
    long step = tokensAtOnce();
    for (long first = 0; first < batch.tokens(); first += step) {
      long count = Math.min(step, batch.tokens() - first);
      long mark = scratch.mark();
      Matrix hidden = batch.hidden().rows(first, count);
      Matrix norm = parts.linears().vector(parts.weights().norm(layer, "input_layernorm"));
      Matrix normed = scratch.matrix(count, hidden.cols());
      parts.compute().rmsNorm(hidden, norm, parts.spec().eps(), normed);
      long position = length + first;
      RopeTables own =
          new RopeTables(rope.cos().rows(position, count), rope.sin().rows(position, count));
      attention.add(layer, normed, hidden, cache.get(layer).rows(0, position + count), own);
      scratch.release(mark);
    }
  }

  private long tokensAtOnce() {
    long fixed = model.needs().fixed() + Matrix.bytes(1, needs.fixed()) + SLACK;
    long fit = (parts.scratch().free() - fixed) / Matrix.bytes(1, needs.perToken());
    if (fit < 1) {
      throw new IllegalStateException(parts.scratch().free() + " bytes of scratch are too few");
    }
    return fit;
  }

  @Override
  public void close() {
    arena.close();
  }
}
