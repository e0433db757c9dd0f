package smelt.calibrate.model;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.formats.BadInputException;
import smelt.formats.UnsupportedException;
import smelt.formats.checkpoint.Checkpoint;
import smelt.formats.checkpoint.Weight;
import smelt.formats.source.ModelSource;

/// A checkpoint's forward pass, layer by layer: `embed`, every `layer` in order, `norm`, `logits`.
///
/// Weights stream through one buffer and are never held; memory is the batch's hidden states plus
/// `scratchBytes`, whatever the model's size. All tokens of a batch go through a layer together.
/// With too little scratch for that they go in pieces, and the layer's weights are read again for
/// each piece; what comes out is the same.
///
/// Numbers are F32 throughout. One thread at a time may use a model.
public final class ReferenceModel implements AutoCloseable {

  private final ModelSpec spec;
  private final ModelWeights weights;
  private final ScratchNeeds needs;
  private final Compute compute;
  private final Arena arena = Arena.ofShared();
  private final WeightStream stream;
  private final Scratch scratch;
  private final Linears linears;
  private final Parts parts;
  private final AttentionBlock attention;

  private ReferenceModel(
      ModelSpec spec,
      Checkpoint checkpoint,
      ModelSource source,
      Compute compute,
      long scratchBytes) {
    this.spec = spec;
    this.compute = compute;
    weights = new ModelWeights(checkpoint);
    needs = ScratchNeeds.of(spec, checkpoint);
    if (scratchBytes < needs.least(1)) {
      throw new IllegalArgumentException(
          scratchBytes + " bytes of scratch, needs " + needs.least(1));
    }
    MemorySegment memory = arena.allocate(scratchBytes, Scratch.ALIGNMENT);
    long buffer = needs.buffer(scratchBytes);
    stream = new WeightStream(source, memory.asSlice(0, buffer));
    scratch = new Scratch(memory.asSlice(buffer));
    linears = new Linears(compute, stream, scratch);
    parts = new Parts(spec, weights, linears, compute, scratch);
    attention =
        switch (spec.attention()) {
          case Attention.Mla mla -> new MlaBlock(mla, parts);
          case Attention.Grouped grouped -> new GroupedBlock(grouped, parts);
        };
  }

  /// Prepares a model. Nothing of its weights is read yet.
  ///
  /// @param source where `checkpoint` was opened from; stays open until this model is closed
  /// @param compute stays open until this model is closed
  /// @param scratchBytes native memory that is taken now, see [#leastScratch] and [#fullScratch]
  /// @throws UnsupportedException for a variant that the reference model does not compute
  public static ReferenceModel open(
      Checkpoint checkpoint, ModelSource source, Compute compute, long scratchBytes) {
    return open(ModelSpec.of(checkpoint), checkpoint, source, compute, scratchBytes);
  }

  /// The same with a spec that need not be the config's.
  static ReferenceModel open(
      ModelSpec spec,
      Checkpoint checkpoint,
      ModelSource source,
      Compute compute,
      long scratchBytes) {
    return new ReferenceModel(spec, checkpoint, source, compute, scratchBytes);
  }

  /// Scratch memory without which sequences of up to `longest` tokens cannot be run.
  public static long leastScratch(Checkpoint checkpoint, int longest) {
    return ScratchNeeds.of(ModelSpec.of(checkpoint), checkpoint).least(longest);
  }

  /// Scratch memory with which every weight is read once for a batch of so many tokens.
  public static long fullScratch(Checkpoint checkpoint, long tokens, int longest) {
    return ScratchNeeds.of(ModelSpec.of(checkpoint), checkpoint).full(tokens, longest);
  }

  /// Scratch memory with which the weights of experts and dense halves are read once for a batch of
  /// so many tokens, and those of attention once for every few thousand tokens.
  public static long thriftyScratch(Checkpoint checkpoint, long tokens, int longest) {
    return ScratchNeeds.of(ModelSpec.of(checkpoint), checkpoint).thrifty(tokens, longest);
  }

  /// Scratch memory for [#layerOnce] with so many tokens at a time.
  public static long onceScratch(Checkpoint checkpoint, long tokensAtOnce, int longest) {
    ModelSpec spec = ModelSpec.of(checkpoint);
    long held = new ModelWeights(checkpoint).largestPart(spec);
    return ScratchNeeds.of(spec, checkpoint).once(held, tokensAtOnce, longest);
  }

  /// Heap memory of one layer's [Routing] for so many tokens, and of working with it; 0 for a model
  /// without experts.
  public static long routingBytes(ModelSpec spec, long tokens) {
    return spec.layers().stream()
        .mapToLong(layer ->
            switch (layer) {
              case FeedForward.Dense _ -> 0;
              case FeedForward.Experts e ->
                  Routing.bytes(e.rule().chosen(), tokens)
                      + Assignment.bytes(tokens * e.rule().chosen());
            })
        .max()
        .orElse(0);
  }

  public ModelSpec spec() {
    return spec;
  }

  Parts parts() {
    return parts;
  }

  ScratchNeeds needs() {
    return needs;
  }

  /// Bytes of weights read so far; those that are read again count again.
  public long bytesRead() {
    return stream.bytesRead();
  }

  /// Sets the hidden states of a batch to the embedding of its token ids.
  ///
  /// @throws BadInputException if an id is not in the vocabulary
  /// @throws UnsupportedException if a sequence is longer than the model's context limit
  public void embed(TokenBatch batch) throws IOException {
    checkLengths(batch);
    embedTokens(batch);
  }

  /// The same for tokens that are not a whole sequence.
  void embedTokens(TokenBatch batch) throws IOException {
    int[] ids =
        IntStream.range(0, batch.sequences()).flatMap(s -> Arrays.stream(batch.ids(s))).toArray();
    checkIds(ids);
    Weight embedding = weights.embedding();
    long mark = scratch.mark();
    Matrix row = scratch.matrix(1, spec.hidden());
    int last = -1;
    for (int token : inOrderOfIds(ids)) {
      if (ids[token] != last) {
        stream.decode(compute.codec(), embedding, ids[token], row, scratch);
        last = ids[token];
      }
      Matrix to = batch.hidden().rows(token, 1);
      MemorySegment.copy(
          row.data(), row.offset(), to.data(), to.offset(), Matrix.bytes(1, spec.hidden()));
    }
    scratch.release(mark);
  }

  private static int[] inOrderOfIds(int[] ids) {
    return IntStream.range(0, ids.length)
        .boxed()
        .sorted(Comparator.comparingInt(token -> ids[token]))
        .mapToInt(Integer::intValue)
        .toArray();
  }

  /// Runs one layer on the hidden states of a batch.
  ///
  /// @param layer from 0 to before `spec().layerCount()`
  /// @return the experts that were chosen; empty for a layer without experts
  /// @throws BadInputException if a file of the model has changed since it was opened
  public Optional<Routing> layer(int layer, TokenBatch batch, LayerOptions options)
      throws IOException {
    checkLengths(batch);
    attend(layer, batch, options);
    return feedForward(layer, batch, options);
  }

  /// Runs one layer with each of its weights read once, however many tokens there are. The weights
  /// of one part (attention, a dense unit, the shared expert with the router, one routed expert)
  /// are held in scratch memory while the tokens go through it, as many at a time as the rest of
  /// the scratch allows: see [#onceScratch]. The hidden states may lie in a mapped file.
  ///
  /// @param sum memory of the size of the batch's hidden states; its values are lost
  /// @return the experts that were chosen; empty for a layer without experts
  public Optional<Routing> layerOnce(int layer, TokenBatch batch, Matrix sum, LayerOptions options)
      throws IOException {
    checkLengths(batch);
    long mark = scratch.mark();
    stream.hold(weights.vectors(layer), scratch);
    holding(weights.attention(layer), () -> attend(layer, batch, options));
    Optional<Routing> routing =
        switch (spec.layers().get(layer)) {
          case FeedForward.Dense dense -> {
            holding(weights.dense(layer).all(), () -> dense(layer, dense, batch, options));
            yield Optional.empty();
          }
          case FeedForward.Experts experts ->
              Optional.of(expertsOnce(layer, experts, batch, sum, options));
        };
    stream.letGo(weights.vectors(layer));
    scratch.release(mark);
    stream.checkUnchanged();
    return routing;
  }

  private void holding(List<Weight> part, ExpertPass.Work work) throws IOException {
    long mark = scratch.mark();
    stream.hold(part, scratch);
    work.run();
    stream.letGo(part);
    scratch.release(mark);
  }

  private Routing expertsOnce(
      int layer, FeedForward.Experts experts, TokenBatch batch, Matrix sum, LayerOptions options)
      throws IOException {
    Routing routing = new Routing(experts.rule().chosen(), Math.toIntExact(batch.tokens()));
    long mark = scratch.mark();
    Matrix norm = linears.vector(weights.norm(layer, "post_attention_layernorm"));
    ExpertPass pass = new ExpertPass(layer, experts, parts, options, norm);
    long most = weights.largestPart(layer, experts);
    long atOnce =
        Math.max(1, (scratch.free() - most - needs.fixed()) / needs.feedForwardPerToken());
    pass.addOnce(batch.hidden(), sum, this::holding, atOnce, routing);
    scratch.release(mark);
    return routing;
  }

  /// The second half of a layer.
  Optional<Routing> feedForward(int layer, TokenBatch batch, LayerOptions options)
      throws IOException {
    Optional<Routing> routing =
        switch (spec.layers().get(layer)) {
          case FeedForward.Dense dense -> {
            dense(layer, dense, batch, options);
            yield Optional.empty();
          }
          case FeedForward.Experts experts -> Optional.of(experts(layer, experts, batch, options));
        };
    stream.checkUnchanged();
    return routing;
  }

  private void attend(int layer, TokenBatch batch, LayerOptions options) throws IOException {
    int first = 0;
    while (first < batch.sequences()) {
      Span span = new Span(batch, first, first + 1);
      while (span.end() < batch.sequences() && fits(new Span(batch, first, span.end() + 1))) {
        span = new Span(batch, first, span.end() + 1);
      }
      long mark = scratch.mark();
      Matrix norm = linears.vector(weights.norm(layer, "input_layernorm"));
      Matrix normed = scratch.matrix(span.tokens(), spec.hidden());
      compute.rmsNorm(span.hidden(), norm, spec.eps(), normed);
      RopeTables rope = RopeTables.of(spec.rope(), span.longest(), scratch);
      attention.add(layer, normed, span, rope, options);
      scratch.release(mark);
      first = span.end();
    }
    if (options.isObserved()) {
      options.observer().done(weights.attention(layer));
    }
  }

  private boolean fits(Span span) {
    return needs.attention(span.tokens(), span.longest()) <= scratch.free();
  }

  private void dense(int layer, FeedForward.Dense dense, TokenBatch batch, LayerOptions options)
      throws IOException {
    long mark = scratch.mark();
    Matrix norm = linears.vector(weights.norm(layer, "post_attention_layernorm"));
    long step = tokensAtOnce();
    for (long first = 0; first < batch.tokens(); first += step) {
      Matrix x = batch.hidden().rows(first, Math.min(step, batch.tokens() - first));
      long chunk = scratch.mark();
      Matrix input = scratch.matrix(x.rows(), x.cols());
      compute.rmsNorm(x, norm, spec.eps(), input);
      Matrix gate = scratch.matrix(x.rows(), dense.width());
      Matrix up = scratch.matrix(x.rows(), dense.width());
      linears.gated(weights.dense(layer), input, gate, up, options);
      compute.add(input, x);
      scratch.release(chunk);
    }
    scratch.release(mark);
    if (options.isObserved()) {
      options.observer().done(weights.dense(layer).all());
    }
  }

  private Routing experts(
      int layer, FeedForward.Experts experts, TokenBatch batch, LayerOptions options)
      throws IOException {
    Routing routing = new Routing(experts.rule().chosen(), Math.toIntExact(batch.tokens()));
    long step = tokensAtOnce();
    long mark = scratch.mark();
    Matrix norm = linears.vector(weights.norm(layer, "post_attention_layernorm"));
    ExpertPass pass = new ExpertPass(layer, experts, parts, options, norm);
    for (long first = 0; first < batch.tokens(); first += step) {
      long rows = Math.min(step, batch.tokens() - first);
      pass.add(batch.hidden().rows(first, rows), first, routing);
    }
    scratch.release(mark);
    return routing;
  }

  /// Tokens that go through a feed-forward half at once.
  private long tokensAtOnce() {
    return Math.max(1, (scratch.free() - needs.fixed()) / needs.feedForwardPerToken());
  }

  /// Applies the final norm to the hidden states of a batch, in place.
  public void norm(TokenBatch batch) throws IOException {
    long mark = scratch.mark();
    Matrix norm = linears.vector(weights.finalNorm());
    compute.rmsNorm(batch.hidden(), norm, spec.eps(), batch.hidden());
    scratch.release(mark);
  }

  /// Shows an observer what the head would be multiplied with, without reading the head.
  ///
  /// @param hidden normed hidden states
  public void showHead(Matrix hidden, Observer observer) throws IOException {
    List<Weight> head = List.of(spec.tiedHead() ? weights.embedding() : weights.head());
    observer.input(head, hidden);
    observer.done(head);
  }

  /// Logits of some of the vocabulary, for any number of normed hidden states.
  ///
  /// @param firstRow first token id
  /// @param rows number of token ids
  /// @param out `[hidden.rows(), rows]`
  public void logits(Matrix hidden, long firstRow, long rows, LayerOptions options, Matrix out)
      throws IOException {
    Weight head = spec.tiedHead() ? weights.embedding() : weights.head();
    long perToken = Matrix.bytes(1, spec.hidden());
    long step = Math.max(1, (scratch.free() - needs.fixed()) / perToken);
    for (long first = 0; first < hidden.rows(); first += step) {
      long count = Math.min(step, hidden.rows() - first);
      linears.multiplyRows(
          head, firstRow, rows, hidden.rows(first, count), out.rows(first, count), options);
    }
  }

  private void checkLengths(TokenBatch batch) {
    int longest = batch.longest();
    if (spec.contextLimit().isPresent() && longest > spec.contextLimit().getAsInt()) {
      int limit = spec.contextLimit().getAsInt();
      String kind =
          switch (spec.attention()) {
            case Attention.Mla _ -> "the sparse attention of index_topk " + limit;
            case Attention.Grouped _ -> "the sliding_window of " + limit;
          };
      throw new UnsupportedException(
          "a sequence of " + longest + " tokens with " + kind,
          "up to " + limit + " tokens it sees all of them, and is run as full attention");
    }
    long need = needs.attention(longest, longest);
    if (need > scratch.free()) {
      throw new IllegalArgumentException(
          "a sequence of "
              + longest
              + " tokens takes "
              + need
              + " bytes of scratch, there are "
              + scratch.free());
    }
  }

  private void checkIds(int[] ids) {
    for (int id : ids) {
      if (id < 0 || id >= spec.vocabulary()) {
        throw new BadInputException(
            "token ids",
            "id " + id,
            "ids from 0 to " + (spec.vocabulary() - 1),
            "use the tokenizer that belongs to the model");
      }
    }
  }

  @Override
  public void close() throws IOException {
    try (arena) {
      stream.close();
    }
  }
}
