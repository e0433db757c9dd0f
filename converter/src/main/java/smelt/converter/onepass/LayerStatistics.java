package smelt.converter.onepass;

import java.lang.foreign.SegmentAllocator;
import java.util.Optional;
import smelt.calibrate.observe.Hessian;
import smelt.calibrate.observe.InputStats;
import smelt.calibrate.observe.LayerObserver;
import smelt.calibrate.observe.Site;
import smelt.converter.tuning.Statistics;

/// What is seen in the layer at hand. A site is asked for when no more tokens come to it; sites of
/// other layers are not there any more, or not yet.
///
/// Changed by the thread that runs the model while no other asks.
final class LayerStatistics implements Statistics {

  private volatile Optional<LayerObserver> observer = Optional.empty();

  /// Goes on to a layer.
  void begin(LayerObserver layer) {
    observer = Optional.of(layer);
  }

  /// Nothing is at hand.
  void end() {
    observer = Optional.empty();
  }

  private LayerObserver at(Site site) {
    return observer
        .filter(layer -> layer.layer() == site.layer())
        .orElseThrow(() -> new IllegalStateException(site + " is not at hand"));
  }

  @Override
  public synchronized Optional<InputStats> stats(Site site) {
    return at(site).stats(site);
  }

  @Override
  public synchronized Optional<Hessian> hessian(Site site, SegmentAllocator memory) {
    return at(site).hessian(site, memory);
  }

  @Override
  public synchronized Optional<Hessian> heldOutHessian(Site site, SegmentAllocator memory) {
    return at(site).heldOutHessian(site, memory);
  }
}
