package smelt.converter.run;

/// Asks a run to stop. Workers look at it between tiles.
public final class StopSignal {

  private volatile boolean stopped;

  public void stop() {
    stopped = true;
  }

  public boolean isStopped() {
    return stopped;
  }
}
