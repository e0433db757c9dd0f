package smelt.converter.tuning;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.observe.Hessian;
import smelt.calibrate.observe.Site;
import smelt.calibrate.solve.ColumnOrder;
import smelt.calibrate.solve.Damping;
import smelt.calibrate.solve.HessianFactor;
import smelt.calibrate.solve.Method;
import smelt.calibrate.solve.Shrinkage;
import smelt.calibrate.solve.SolveKernels;

/// Factors of second moments, made when they are first asked for and kept while they are in use,
/// and a few of the last. One is made at a time, by all threads. Safe for several threads.
final class Factors implements AutoCloseable {

  /// Whose second moments a factor has.
  ///
  /// @param site where they were measured
  /// @param shrunk whether they are shrunk towards those of the layer
  record Key(Site site, boolean shrunk) {}

  /// A factor in memory of its own.
  private static final class Entry {
    private final Arena arena = Arena.ofShared();
    private final HessianFactor factor;
    private int users;

    Entry(Maker maker) throws IOException {
      try {
        factor = maker.make(arena);
      } catch (IOException | RuntimeException | Error e) {
        arena.close();
        throw e;
      }
    }
  }

  @FunctionalInterface
  private interface Maker {
    HessianFactor make(Arena arena) throws IOException;
  }

  private final Statistics table;
  private final Compute compute;
  private final SolveKernels kernels;
  private final int most;
  private final Map<Key, Entry> entries = new LinkedHashMap<>(16, 0.75f, true);

  /// @param compute used while a factor is made; stays the caller's to close
  /// @param most factors that are kept, at least one for each thread that asks
  Factors(Statistics table, Compute compute, SolveKernels kernels, int most) {
    this.table = table;
    this.compute = compute;
    this.kernels = kernels;
    this.most = most;
  }

  /// Bytes at most for factors of up to `columns` columns: those that are kept, and what the making
  /// of one takes.
  static long bytes(long columns, int most) {
    return Math.addExact(
        Math.multiplyExact((long) most, HessianFactor.bytes(columns)),
        HessianFactor.scratchBytes(columns) + 2 * Matrix.bytes(columns, columns));
  }

  /// GPTQ with the factor of a key, which stays in memory until it is closed; empty where the table
  /// has no second moments for it.
  synchronized Optional<Tuning.Held> hold(Key key) throws IOException {
    Entry entry = entries.get(key);
    if (entry == null) {
      makeRoom();
      Optional<Entry> made = make(key);
      if (made.isEmpty()) {
        return Optional.empty();
      }
      entry = made.get();
      entries.put(key, entry);
    }
    entry.users++;
    return Optional.of(new Use(entry));
  }

  private Optional<Entry> make(Key key) throws IOException {
    try (Arena memory = Arena.ofShared()) {
      Optional<Hessian> hessian = hessian(key, memory);
      if (hessian.isEmpty()) {
        return Optional.empty();
      }
      Damping damping =
          hessian.get().tokens() < hessian.get().channels() ? Damping.STRONG : Damping.LIGHT;
      return Optional.of(
          new Entry(arena ->
              HessianFactor.of(
                  compute,
                  kernels,
                  hessian.get().values(),
                  damping,
                  ColumnOrder.DESCENDING,
                  arena)));
    }
  }

  private Optional<Hessian> hessian(Key key, Arena memory) throws IOException {
    Optional<Hessian> own = table.hessian(key.site(), memory).filter(h -> h.tokens() > 0);
    if (!key.shrunk() || !(key.site() instanceof Site.ExpertInput input)) {
      return own;
    }
    Optional<Hessian> pool = table.hessian(new Site.FeedForwardInput(input.layer()), memory);
    if (own.isEmpty() || pool.isEmpty()) {
      return pool.or(() -> own);
    }
    Matrix mixed = own.get().values();
    Shrinkage.OF_HESSIANS.apply(compute, mixed, own.get().tokens(), pool.get().values(), mixed);
    return Optional.of(new Hessian(pool.get().tokens(), mixed));
  }

  /// Gives up the factor that was asked for the longest ago and is not in use.
  private void makeRoom() {
    while (entries.size() >= most) {
      Optional<Key> idle =
          entries.entrySet().stream()
              .filter(entry -> entry.getValue().users == 0)
              .map(Map.Entry::getKey)
              .findFirst();
      if (idle.isEmpty()) {
        return;
      }
      entries.remove(idle.get()).arena.close();
    }
  }

  private synchronized void release(Entry entry) {
    entry.users--;
  }

  /// Columns of a site's second moments; empty where the table has none.
  OptionalInt columns(Site site) throws IOException {
    return table.channels(site);
  }

  @Override
  public synchronized void close() {
    entries.values().forEach(entry -> entry.arena.close());
    entries.clear();
  }

  private final class Use implements Tuning.Held {
    private final Entry entry;

    Use(Entry entry) {
      this.entry = entry;
    }

    @Override
    public Method method() {
      return new Method.Gptq(entry.factor);
    }

    @Override
    public void close() {
      release(entry);
    }
  }
}
