package smelt.calibrate.pass;

import java.io.IOException;
import java.util.List;
import java.util.function.LongSupplier;
import smelt.calibrate.math.Matrix;
import smelt.calibrate.model.Observer;
import smelt.calibrate.model.Routing;
import smelt.calibrate.observe.LayerObserver;
import smelt.formats.checkpoint.Weight;

/// Lets the watcher of a run end it between products, and tells it what was read.
final class WatchedObserver implements Observer {

  private final LayerObserver observer;
  private final Calibration.Watcher watcher;
  private final LongSupplier read;
  private long told;

  /// @param read bytes read so far
  WatchedObserver(LayerObserver observer, Calibration.Watcher watcher, LongSupplier read) {
    this.observer = observer;
    this.watcher = watcher;
    this.read = read;
    told = read.getAsLong();
  }

  @Override
  public void input(List<Weight> weights, Matrix x) {
    watcher.check();
    observer.input(weights, x);
  }

  @Override
  public void scored(int layer, long token, float[] scores, Routing routing) {
    observer.scored(layer, token, scores, routing);
  }

  @Override
  public void routed(int layer, Matrix input, long firstToken, Routing routing) {
    observer.routed(layer, input, firstToken, routing);
  }

  @Override
  public int[] further(int layer, int expert) {
    return observer.further(layer, expert);
  }

  @Override
  public void further(Weight down, Matrix x) {
    watcher.check();
    observer.further(down, x);
  }

  @Override
  public void done(List<Weight> weights) throws IOException {
    observer.done(weights);
    long now = read.getAsLong();
    watcher.read(now - told);
    told = now;
  }
}
