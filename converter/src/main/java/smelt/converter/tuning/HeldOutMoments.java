package smelt.converter.tuning;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.Optional;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.observe.InputStats;
import smelt.calibrate.observe.Site;
import smelt.calibrate.solve.Moments;

/// Second moments of tokens that no solver has used, by which what a solver chose is judged. What
/// was chosen by second moments is judged by second moments, and what was chosen by mean squares by
/// mean squares: by the latter GPTQ seems to lose where it gains, since it makes up for the error
/// of one column with another. Safe for several threads.
final class HeldOutMoments implements AutoCloseable {

  /// Fewest tokens by which a weight is judged.
  static final int LEAST_TOKENS = 16;

  private final Statistics table;
  private final Shelf<Site, Moments> shelf;

  /// Moments that stay in memory until this is closed.
  interface Held extends AutoCloseable {
    Moments moments();

    @Override
    void close();
  }

  /// @param most matrices that are kept, at least one for each thread that asks
  HeldOutMoments(Statistics table, int most) {
    this.table = table;
    shelf = new Shelf<>(most, this::make);
  }

  /// Bytes at most for moments of up to `columns` columns: those that are kept, and what is read to
  /// make them.
  static long bytes(long columns, int most) {
    return Math.addExact(
        Math.multiplyExact((long) most, Moments.Blocks.bytes(columns)),
        Matrix.bytes(columns, columns));
  }

  private Optional<Moments> make(Site site, Arena memory) throws IOException {
    try (Arena meanwhile = Arena.ofShared()) {
      return table
          .heldOutHessian(site, meanwhile)
          .filter(found -> found.tokens() >= LEAST_TOKENS)
          .map(found -> Moments.Blocks.of(found.values(), memory));
    }
  }

  /// Second moments for what reads a site; empty where the table has none of enough tokens.
  Optional<Held> ofAllPairs(Site site) throws IOException {
    return shelf
        .take(judged(site))
        .map(use ->
            new Held() {
              @Override
              public Moments moments() {
                return use.value();
              }

              @Override
              public void close() {
                use.close();
              }
            });
  }

  /// Mean squares for what reads a site; empty where too few tokens were held out.
  Optional<Moments> ofChannels(Site site) throws IOException {
    return table
        .stats(judged(site))
        .filter(seen -> seen.heldOutTokens() >= LEAST_TOKENS)
        .map(InputStats::heldOutMeanSquare)
        .map(Moments.Diagonal::new);
  }

  /// All experts of a layer read the layer's vectors, and few held out ones are an expert's own.
  private static Site judged(Site site) {
    return site instanceof Site.ExpertInput input ? new Site.FeedForwardInput(input.layer()) : site;
  }

  @Override
  public void close() {
    shelf.close();
  }
}
