package smelt.converter.tuning;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.Optional;
import smelt.calibrate.math.Compute;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.observe.Hessian;
import smelt.calibrate.observe.Site;
import smelt.calibrate.solve.ColumnOrder;
import smelt.calibrate.solve.Damping;
import smelt.calibrate.solve.HessianFactor;
import smelt.calibrate.solve.Moments;
import smelt.calibrate.solve.Shrinkage;
import smelt.calibrate.solve.SolveKernels;

/// Makes factors of second moments, by all threads of a compute.
final class Factors {

  /// Whose second moments a factor has.
  ///
  /// @param site where they were measured
  /// @param shrunk whether they are shrunk towards those of the layer
  record Key(Site site, boolean shrunk) {}

  private final Statistics table;
  private final Compute compute;
  private final SolveKernels kernels;

  /// @param compute used while a factor is made; stays the caller's to close
  private Factors(Statistics table, Compute compute, SolveKernels kernels) {
    this.table = table;
    this.compute = compute;
    this.kernels = kernels;
  }

  /// Those of a table; of a key that it has no second moments for there is none.
  ///
  /// @param most factors that are kept, at least one for each thread that asks
  /// @param compute used while a factor is made; stays the caller's to close
  static Shelf<Key, HessianFactor> of(
      Statistics table, Compute compute, SolveKernels kernels, int most) {
    return new Shelf<>(most, new Factors(table, compute, kernels)::make);
  }

  /// Bytes at most for factors of up to `columns` columns: those that are kept, and what the making
  /// of one takes.
  static long bytes(long columns, int most) {
    return Math.addExact(
        Math.multiplyExact((long) most, HessianFactor.bytes(columns)),
        HessianFactor.scratchBytes(columns) + 2 * Matrix.bytes(columns, columns));
  }

  /// The second moments themselves, which scales are fitted with.
  ///
  /// @param most matrices that are kept, at least one for each thread that asks
  static Shelf<Key, Moments> moments(
      Statistics table, Compute compute, SolveKernels kernels, int most) {
    return new Shelf<>(most, new Factors(table, compute, kernels)::moments);
  }

  /// Bytes at most for second moments of up to `columns` columns: those that are kept, and what the
  /// making of one takes.
  static long momentsBytes(long columns, int most) {
    return Math.addExact(
        Math.multiplyExact((long) most, Moments.Blocks.bytes(columns)),
        2 * Matrix.bytes(columns, columns));
  }

  private Optional<Moments> moments(Key key, Arena memory) throws IOException {
    try (Arena meanwhile = Arena.ofShared()) {
      return hessian(key, meanwhile).map(found -> Moments.Blocks.of(found.values(), memory));
    }
  }

  private Optional<HessianFactor> make(Key key, Arena memory) throws IOException {
    try (Arena meanwhile = Arena.ofShared()) {
      Optional<Hessian> hessian = hessian(key, meanwhile);
      return hessian.map(found ->
          HessianFactor.of(
              compute,
              kernels,
              found.values(),
              found.tokens() < found.channels() ? Damping.STRONG : Damping.LIGHT,
              ColumnOrder.DESCENDING,
              memory));
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
}
